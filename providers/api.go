package providers

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
)

// API describes one quota API: where it is, and where the quotas are in its answers. The catalogue and the configuration describe APIs in
// the same form, which ReadAPI reads. Paths are names of fields with dots between them.
type API struct {
	Path    string // path and query; {project_id} and {domain_id} are replaced
	Account bool   // the quotas belong to the account, not to a project
	Host    Host
	Action  Action

	// List holds the paths to the list, the map or the object that holds the quotas. The first one that exists counts; an empty path is
	// the top level.
	List []string
	Type string // the resource type: names of fields in braces, or a constant; {key} is the key in a map of objects

	Fields
	Unit, Min, Max string // paths; empty for none

	Pairs []Pair // if one object holds several resources

	NoLimit *float64          // the limit that means "no limit"; nil: none does
	Unknown *float64          // the number that means "not reported"; nil: none does
	Skip    *regexp.Regexp    // resource types that are left out without being counted; nil: none
	Rename  map[string]string // other names for resource types
	Units   []UnitOf          // units that the API does not report; the first that matches counts

	name template // Type
	text string
}

// Fields are the paths to the numbers of a resource; empty for none.
type Fields struct{ Used, Limit, Remaining string }

// names returns the fields that there are.
func (f Fields) names() []string {
	var names []string
	for _, name := range []string{f.Used, f.Limit, f.Remaining} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Pair is one resource among several in one object. Unit is the unit itself, since such objects have no field for it.
type Pair struct {
	Type, Unit string
	Fields
}

// UnitOf is the unit of the resource types that match.
type UnitOf struct {
	Types *regexp.Regexp
	Unit  string
}

// Action is the IAM action that reading the quotas needs, for identity policies and for role/policy authorization. Either is NoAction if a
// document says that none is needed, and empty if nothing is documented.
type Action struct{ Identity, Role string }

// NoAction stands for an action where none is needed.
const NoAction = "none"

// String returns the action to advise; empty if none is documented.
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

// String returns the description as JSON: descriptions that are read alike have the same one.
func (a *API) String() string {
	return a.text
}

// get asks the API. A path that the configuration states replaces the documented one.
func (a *API) get(ctx context.Context, c *huaweicloud.Client) (*huaweicloud.Answer, error) {
	return c.Get(ctx, cmp.Or(c.QuotaPath, a.Path))
}

// Host is the host of an API by region, the one for all other regions under "default". It is the first label of
// https://<label>.<region>.<cloud> or, with a dot in it, a whole host, in which {region} and {cloud} are replaced. Either may have a port.
type Host struct {
	regions map[string]string
	builtIn bool // it is from the catalogue, which knows the sites of Huawei Cloud alone
}

const (
	anyRegion = "default"
	inRegion  = "{region}"
)

var regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// IsRegion returns whether text has the form of a region's name. The names are not checked: new regions and partner clouds come.
func IsRegion(text string) bool { return len(text) <= 40 && regionForm.MatchString(text) }

// in returns the host in a region, with {cloud} as it is.
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

// BaseURL returns the URL of the host in a region of a cloud. An empty cloud is the public one that the region belongs to. Whole hosts of the
// catalogue are those of Huawei's own sites; elsewhere the first label is used regionally. If the region is empty, {region} stays.
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

// isHuaweiSite returns whether a region belongs to a site that Huawei runs itself. Three partners have regions under its domain.
func isHuaweiSite(region, cloud string) bool {
	switch region {
	case "ru-moscow-1", "my-kualalumpur-1", "ae-ad-1":
		return false
	}
	return cloud == "myhuaweicloud.com" || cloud == "myhuaweicloud.eu"
}
