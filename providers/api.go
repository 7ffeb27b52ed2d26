package providers

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
)

// API describes one quota API: its URL, and where the quotas are in its responses. The catalogue and the configuration use the same
// format, which ReadAPI reads. Paths are names of fields, separated by dots.
type API struct {
	Path    string // path and query; {project_id} and {domain_id} are replaced
	Account bool   // the quotas belong to the account, not to a project
	Host    Host
	Action  Action

	// List has the paths to the list, map, or object with the quotas. The first one that exists is used; an empty path is the top level.
	List []string
	Type string // resource type: names of fields in braces, or a constant; {key} is the key in a map of objects

	Fields
	Unit, Min, Max string // paths; empty for none

	Pairs []Pair // if one object has several resources

	NoLimit *float64          // limit that means "no limit"; nil: none
	Unknown *float64          // value that means "not reported"; nil: none
	Skip    *regexp.Regexp    // resource types that are skipped without being counted; nil: none
	Rename  map[string]string // other names for resource types
	Units   []UnitOf          // units that the API does not report; the first match is used

	name template // of Type
	text string
}

// Fields are the paths to the values of a resource; empty for none.
type Fields struct{ Used, Limit, Remaining string }

// names returns the fields that are not empty.
func (f Fields) names() []string {
	var names []string
	for _, name := range []string{f.Used, f.Limit, f.Remaining} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Pair is one of several resources in one object. Unit is the unit itself, because such objects have no field for it.
type Pair struct {
	Type, Unit string
	Fields
}

// UnitOf is the unit of the matching resource types.
type UnitOf struct {
	Types *regexp.Regexp
	Unit  string
}

// Action is the IAM action for fetching the quotas, for identity policies and for role/policy authorization. It is NoAction if
// documented as not needed, and empty if not documented.
type Action struct{ Identity, Role string }

// NoAction means that no action is needed.
const NoAction = "none"

// String returns the action to grant; empty if none is documented.
func (a Action) String() string {
	a = a.grantable()
	return cmp.Or(a.Identity, a.Role)
}

// grantable returns the action without NoAction.
func (a Action) grantable() Action {
	if a.Identity == NoAction {
		a.Identity = ""
	}
	if a.Role == NoAction {
		a.Role = ""
	}
	return a
}

// String returns the description as JSON. Equivalent descriptions have the same JSON.
func (a *API) String() string {
	return a.text
}

// get requests the API. A path in the configuration replaces the documented one.
func (a *API) get(ctx context.Context, c *huaweicloud.Client) (*huaweicloud.Answer, error) {
	return c.Get(ctx, cmp.Or(c.QuotaPath, a.Path))
}

// Host is the host of an API by region, with "default" for all other regions. It is the first label of
// https://<label>.<region>.<cloud> or, if it contains a dot, a whole host, in which {region} and {cloud} are replaced. Both can have
// a port.
type Host struct {
	regions map[string]string
	builtIn bool // from the catalogue, which only knows the sites of Huawei Cloud
}

const (
	anyRegion = "default"
	inRegion  = "{region}"
)

var regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// IsRegion reports whether text has the format of a region's name. New regions and partner clouds are accepted.
func IsRegion(text string) bool { return len(text) <= 40 && regionForm.MatchString(text) }

// in returns the host in a region, without replacing {cloud}.
func (h Host) in(region string) string {
	host, ok := h.regions[region]
	if !ok {
		host = h.regions[anyRegion]
	}
	return strings.ReplaceAll(host, inRegion, region)
}

// Label returns the first label of the host in a region, without a port.
func (h Host) Label(region string) string {
	label, _, _ := strings.Cut(h.in(region), ".")
	label, _, _ = strings.Cut(label, ":")
	return label
}

// BaseURL returns the URL of the host in a region of a cloud. If cloud is empty, it is the public cloud of the region. Whole hosts
// of the catalogue apply to Huawei Cloud's own sites; elsewhere their first label is used with the region. If the region is empty,
// {region} is kept.
func (h Host) BaseURL(region, cloud string) string {
	region = cmp.Or(region, inRegion)
	cloud = huaweicloud.Domain(region, cloud)
	host := h.in(region)
	if !strings.Contains(host, ".") || h.builtIn && !isHuaweiSite(region, cloud) {
		url := huaweicloud.BaseURL(h.Label(region), region, cloud)
		if _, port, ok := strings.Cut(host, ":"); ok {
			url += ":" + port
		}
		return url
	}
	return "https://" + strings.ReplaceAll(host, "{cloud}", cloud)
}

// isHuaweiSite reports whether a region belongs to a site operated by Huawei. Three partners have regions under its domain.
func isHuaweiSite(region, cloud string) bool {
	switch region {
	case "ru-moscow-1", "my-kualalumpur-1", "ae-ad-1":
		return false
	}
	return cloud == "myhuaweicloud.com" || cloud == "myhuaweicloud.eu"
}
