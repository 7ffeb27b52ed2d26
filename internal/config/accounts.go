package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// DefaultInFlightPerHost is the default of max_in_flight_per_host.
const DefaultInFlightPerHost = 64

const (
	regionWant    = "the name of a region such as ap-southeast-3"
	projectIDWant = "the project_id, 1 to 64 letters and digits"
	domainIDWant  = "the domain_id, 1 to 64 letters and digits"
	cloudWant     = "a bare DNS domain such as myhuaweicloud.com, without scheme, port, or path"

	labelWant = "at most 128 bytes of UTF-8 without control characters"
)

var (
	accountName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	cloudDomain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	projectID   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	domainID    = projectID
)

// accountReader reads the accounts in order and checks that names are unique.
type accountReader struct {
	services []providers.Service        // the known ones
	accounts bool                       // an account-level service is enabled
	several  bool                       // there are several accounts
	names    map[string]strictyaml.Node // of accounts
	labels   map[string]strictyaml.Node // of projects
}

// readAccounts reads the accounts. accountLevel is set if an account-level service is enabled: its quotas have the name of the
// account as their project label.
func readAccounts(n strictyaml.Node, services []providers.Service, accountLevel bool) []Account {
	items := n.List()
	r := accountReader{services, accountLevel, len(items) > 1, make(map[string]strictyaml.Node), make(map[string]strictyaml.Node)}
	var accounts []Account
	for _, item := range items {
		accounts = append(accounts, r.account(item))
	}
	if accountLevel {
		r.checkLabels()
	}
	return accounts
}

// checkLabels reports projects whose label is the name of an account.
func (r *accountReader) checkLabels() {
	for _, name := range slices.Sorted(maps.Keys(r.names)) {
		if label, taken := r.labels[name]; taken {
			label.Fail("the same as the name of the account in line %d, which is the label of its account-level quotas; give the project another name", r.names[name].Line())
		}
	}
}

func (r *accountReader) account(n strictyaml.Node) Account {
	var a Account
	f, ok := n.Fields("name", "credentials", "domain_id", "cloud", "endpoints", "ca_file", "max_in_flight_per_host", "projects", "discovery")
	if !ok {
		return a
	}
	a.Name = r.name(f.Get("name"))
	if c := f.Get("credentials"); c.Stated() {
		a.Credentials = readCredentials(c)
	}
	if c := f.Get("cloud"); c.Stated() {
		a.Cloud, _ = c.Matching(cloudDomain, cloudWant)
	}
	if d := f.Get("domain_id"); d.Stated() {
		a.DomainID, _ = d.Matching(domainID, domainIDWant)
	}
	if e := f.Get("endpoints"); e.Stated() {
		a.Endpoints = readEndpoints(e, r.services)
	}
	a.CAFile = optional(f, "ca_file")
	a.MaxInFlightPerHost = DefaultInFlightPerHost
	if most, ok := f.Get("max_in_flight_per_host").Number(1, 1024); ok {
		a.MaxInFlightPerHost = most
	}
	if d := f.Get("discovery"); d.Stated() {
		a.Discovery = readDiscovery(d, a.Name, r.several)
	}
	if e := a.Endpoints[iam]; a.Discovery != nil && len(a.Discovery.Regions) == 0 && f.Get("projects").IsEmpty() && strings.Contains(e[anyName], inRegion) {
		f.Get("discovery").Fail("no region for the {region} in endpoints.iam; set regions, or set a default without {region} in endpoints.iam")
	}
	switch p := f.Get("projects"); {
	case !p.IsEmpty():
		a.Projects = r.projects(p)
	case r.accounts && p.Stated(): // projects: []
	case a.Discovery == nil:
		p.Fail("missing; list the projects of the account, for example projects: [{region: ap-southeast-1}], set discovery: {} to find them, or set projects: [] if only account-level services are enabled")
	}
	return a
}

func (r *accountReader) name(n strictyaml.Node) string {
	if !n.Stated() {
		if r.several {
			n.Fail("missing; set a unique name for each account, for example name: main")
		}
		r.names["default"] = n
		return "default"
	}
	name, ok := n.Matching(accountName, "1 to 63 letters, digits, dots, dashes, and underscores, starting with a letter or a digit")
	if !ok {
		return ""
	}
	if first, taken := r.names[name]; taken {
		n.Fail("the same as %s in line %d; set a unique name for each account", first.Path(), first.Line())
	} else {
		r.names[name] = n
	}
	return name
}

func (r *accountReader) projects(n strictyaml.Node) []Project {
	type place struct{ id, region string }
	places := make(map[place]strictyaml.Node)
	var projects []Project
	for _, item := range n.List() {
		p, label, ok := readProject(item)
		if !ok {
			continue
		}
		projects = append(projects, p)
		if first, taken := places[place{p.ID, p.Region}]; taken {
			item.Fail("the same project as %s in line %d; remove one of them", first.Path(), first.Line())
			continue // its label may be the same for that reason
		}
		places[place{p.ID, p.Region}] = item
		if first, taken := r.labels[p.Name]; taken {
			label.Fail("the same label as %s in line %d; set a unique name for each project (the default is the region), "+
				"for example name: prod", first.Path(), first.Line())
			continue
		}
		r.labels[p.Name] = label
	}
	return projects
}

// readProject reads one project. label is the node of its name, or of where that should be.
func readProject(n strictyaml.Node) (p Project, label strictyaml.Node, ok bool) {
	f, ok := n.Fields("id", "region", "name")
	if !ok {
		return p, n, false
	}
	id, region, label := f.Get("id"), f.Get("region"), f.Get("name")
	hasID, hasName := true, true
	if id.Stated() {
		p.ID, hasID = id.Matching(projectID, projectIDWant)
	}
	p.Region, ok = readRegion(region)
	switch {
	case label.Stated():
		p.Name, hasName = label.Text()
		hasName = hasName && checkLabel(label, p.Name)
	case id.Stated():
		label.Fail("missing; set a name for a project with an id, for example name: prod")
		hasName = false
	default:
		p.Name = p.Region
	}
	return p, label, ok && hasID && hasName
}

func readRegion(n strictyaml.Node) (string, bool) {
	if !n.Stated() {
		n.Fail("missing; expected %s", regionWant)
		return "", false
	}
	region, ok := n.Text()
	if ok && !providers.IsRegion(region) {
		n.Fail("invalid format; expected %s", regionWant)
		return "", false
	}
	return region, ok
}

// checkLabel reports whether text, the value of n, is a valid label, and adds a problem if not.
func checkLabel(n strictyaml.Node, text string) bool {
	if !IsLabel(text) {
		n.Fail("invalid format; expected %s", labelWant)
		return false
	}
	shows := func(r rune) bool {
		return unicode.IsPrint(r) && r != ' ' && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	}
	if text != "" && !strings.ContainsFunc(text, shows) {
		n.Fail("has only invisible characters; expected a readable name")
		return false
	}
	return true
}

// IsLabel reports whether text is a valid label. It applies to names from the configuration and from the cloud.
func IsLabel(text string) bool {
	return len(text) <= 128 && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// IsProjectID reports whether text has the format of a project_id.
func IsProjectID(text string) bool { return projectID.MatchString(text) }
