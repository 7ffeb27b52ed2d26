package providers

import (
	"maps"
	"slices"
	"strings"
)

// What commands and documentation show of a description.

// Role returns the role or system policy that covers the service, regardless of its action.
func (s Service) Role() string {
	if s.Name == "iam" && !s.IsOwn() { // not covered by the role
		return "policy IAM ReadOnlyAccess"
	}
	return "role Tenant Guest"
}

// Level returns who the quotas belong to: project or account.
func (a *API) Level() string {
	if a.Account {
		return "account"
	}
	return "project"
}

// ResourceTypes returns the types of all quotas if they are known from the description; nil if the response has them.
func (a *API) ResourceTypes() []string {
	templates := []string{a.Type}
	if len(a.Pairs) > 0 {
		templates = nil
	}
	for _, p := range a.Pairs {
		if key := "{" + keyField + "}"; strings.Contains(a.Type, key) {
			templates = append(templates, strings.ReplaceAll(a.Type, key, p.Type))
		} else {
			templates = append(templates, p.Type)
		}
	}
	var types []string
	for _, t := range templates {
		t = trimType(t)
		if renamed, ok := a.Rename[t]; ok {
			t = renamed
		}
		switch {
		case strings.ContainsAny(t, "{}"):
			return nil
		case a.Skip == nil || !a.Skip.MatchString(t):
			types = append(types, t)
		}
	}
	return types
}

// Regions returns the host of each region that has a separate one, and that of all others as "default".
func (h Host) Regions() map[string]string { return maps.Clone(h.regions) }

// Names returns all hosts, starting with that of most regions.
func (h Host) Names() []string {
	names := slices.Sorted(maps.Values(h.regions))
	return slices.Compact(append([]string{h.regions[anyRegion]}, slices.DeleteFunc(names, func(name string) bool { return name == h.regions[anyRegion] })...))
}

// Names returns the documented names: that for identity policies, and the other one with the suffix (role) if it differs.
func (a Action) Names() []string {
	var names []string
	if a.Identity != "" {
		names = append(names, a.Identity)
	}
	if a.Role != "" && a.Role != a.Identity {
		names = append(names, a.Role+" (role)")
	}
	return names
}

// Advice returns the action to grant: both names if they differ, and the type of authorization if the name is only known for one;
// empty if none is documented.
func (a Action) Advice() string {
	switch a = a.grantable(); {
	case a.Identity == a.Role:
		return a.Identity
	case a.Identity == "":
		return a.Role + " (with role/policy authorization)"
	case a.Role == "":
		return a.Identity + " (with identity policies)"
	default:
		return a.Identity + " (" + a.Role + " with role/policy authorization)"
	}
}
