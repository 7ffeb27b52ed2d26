package providers

import (
	"cmp"
	"context"
	"regexp"

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

// Action is the IAM action that reading the quotas needs, for identity policies and for role/policy authorization. Either is empty if it is
// not documented.
type Action struct{ Identity, Role string }

// String returns the action to advise; empty if none is documented.
func (a Action) String() string { return cmp.Or(a.Identity, a.Role) }

// get asks the API. A path that the configuration states replaces the documented one.
func (a *API) get(ctx context.Context, c *huaweicloud.Client) (*huaweicloud.Answer, error) {
	return c.Get(ctx, cmp.Or(c.QuotaPath, a.Path))
}
