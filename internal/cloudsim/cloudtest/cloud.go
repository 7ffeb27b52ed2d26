// Package cloudtest is the simulated cloud for tests: package cloudsim with what goes wrong in a real cloud, with the tokens and temporary
// keys that IAM, the metadata service of an ECS and pod identity issue, with TLS, and with counters. It is not part of the binary.
package cloudtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
)

// Cloud is a simulated cloud for tests. It is safe for concurrent use.
type Cloud struct {
	*cloudsim.Cloud

	mu           sync.Mutex
	received     map[string]int
	byOwner      map[string]map[string]int // by ID of the project or the account
	inFlight     int
	mostInFlight int
	faults       []*fault
	identities   map[string]Identities // by name of the account
	domains      map[string][]string   // that IAM shows, by name of the account; missing: the account
	issued       issued
	machine      Machine
}

// New returns a cloud with the services of the catalogue and these accounts. A project or an account without configured quotas of a service gets the example
// of its document.
func New(accounts ...cloudsim.Account) *Cloud {
	return Wrap(cloudsim.New(democloud.APIsOf(providers.All(), examples.Of), accounts...))
}

// Demo returns the cloud of democloud.Demo.
func Demo() *Cloud { return Wrap(democloud.Demo()) }

// Scale returns a cloud with the keys of Demo and this many projects, spread over its regions and named like ap-southeast-3_p0001. The five
// services that are enabled by default respond with constant values.
func Scale(projects int) *Cloud {
	regions := []string{"ap-southeast-3", "ap-southeast-1"}
	var all []cloudsim.Project
	for i := range projects {
		name := fmt.Sprintf("%s_p%04d", regions[i%len(regions)], i+1)
		n := int64(i % 10)
		all = append(all, cloudsim.Project{ID: cloudsim.ID(name), Name: name, AuditInstances: int(n), Quotas: map[string][]cloudsim.Quota{
			"cts": {{Type: "data_tracker", Used: 10 * n, Limit: 100}, {Type: "system_tracker", Used: 1, Limit: 1}},
			"ces": {{Type: "alarm", Used: 100 * n, Limit: 1000}},
			"dcs": {
				{Type: "instance", Min: 1, Max: 10, Used: n, Limit: 10},
				{Type: "ram", Unit: "GB", Min: 1, Max: 800, Used: 80 * n, Limit: 800},
			},
			"taurusdb": {{Type: "instance", Used: 5 * n, Limit: 50}},
			"dbss": {
				{Type: "audit_instance", Used: n, Limit: 10},
				{Type: "cpu", Used: 4 * n, Limit: 800},
				{Type: "ram", Unit: "MB", Used: 16384 * n, Limit: 1638400},
			},
		}})
	}
	return New(cloudsim.Account{Name: "demo", AccessKey: democloud.AccessKey, SecretKey: democloud.SecretKey, Projects: all})
}

// Enlarge has every project of a cloud of Scale respond with seven quotas for each service with a list that is disabled by default. With all services,
// 100 projects have about 26,000 quotas.
func (c *Cloud) Enlarge() {
	const quotas = 7
	c.Update("demo", func(a *cloudsim.Account) {
		for i := range a.Projects {
			of := maps.Clone(a.Projects[i].Quotas)
			for _, s := range providers.All() {
				if of[s.Name] == nil && !s.API.Account && len(s.API.Pairs) == 0 && strings.Contains(s.API.Type, "{") {
					for n := range int64(quotas) {
						name := placeholder.ReplaceAllString(s.API.Type, fmt.Sprint("resource", n))
						of[s.Name] = append(of[s.Name], cloudsim.Quota{Type: name, Used: n, Limit: 10 * n})
					}
				}
			}
			a.Projects[i].Quotas = of
		}
	})
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// ManyProjects returns a cloud with twenty projects of the account "main" in one region, and all that the kinds of credentials need. The account "base"
// is the one that main's agency trusts.
func ManyProjects() *Cloud {
	var projects []cloudsim.Project
	for i := range 20 {
		projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%02d", i)})
	}
	cloud := New(
		cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: projects},
		cloudsim.Account{Name: "base", AccessKey: "BASE", SecretKey: "SECRET"},
	)
	cloud.SetIdentities("main", Identities{
		Users:            []User{{Name: "reader", Password: "password-1"}},
		Agencies:         []Agency{{Name: "quotas", Trusts: "base"}},
		IdentityProvider: IdentityProvider{ID: "idp", IDToken: "id.token.1"},
	})
	cloud.SetIdentities("base", Identities{Users: []User{{Name: "robot", Password: "PASSWORD"}}})
	return cloud
}

// Wrap returns a cloud for tests that responds like cloud, which must not be served yet.
func Wrap(cloud *cloudsim.Cloud) *Cloud {
	c := &Cloud{
		Cloud:      cloud,
		received:   map[string]int{},
		byOwner:    map[string]map[string]int{},
		identities: map[string]Identities{},
		domains:    map[string][]string{},
		issued: issued{
			counts: map[string]int{}, keys: map[string]keys{}, tokens: map[string]token{}, metadataTokens: map[string]time.Time{},
		},
	}
	inner := cloud.Intercept
	cloud.Intercept = func(q cloudsim.Call, next func(cloudsim.Call) cloudsim.Answer) cloudsim.Answer {
		c.receive(q)
		return c.applying(func(f Fault) bool { return f.fits(q) }).strike(q, func() cloudsim.Answer { return inner(q, next) })
	}
	cloud.Authenticate = c.authenticate
	cloud.Publish(c.tokenAPIs()...)
	cloud.Publish(c.machineAPIs()...)
	cloud.Publish(c.accountAPIs()...)
	return c
}

// ServeHTTP responds like cloudsim.Cloud. It panics with http.ErrAbortHandler if a fault closes the connection.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.addInFlight(1)
	defer c.addInFlight(-1)
	c.Cloud.ServeHTTP(w, r)
}

func (c *Cloud) addInFlight(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight += change
	c.mostInFlight = max(c.mostInFlight, c.inFlight)
}

// receive counts a request.
func (c *Cloud) receive(q cloudsim.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[q.Method+" "+q.Path]++
	if owner := cmp.Or(q.ProjectID, q.DomainID); owner != "" {
		if c.byOwner[owner] == nil {
			c.byOwner[owner] = map[string]int{}
		}
		c.byOwner[owner][q.Service]++
	}
}

// Requests returns how many requests were received, including rejected ones, by method and path of the API:
// "GET /v3/{project_id}/quotas".
func (c *Cloud) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.received)
}

// ProjectRequests returns how many requests were received for a project or, with the ID of an account, for account-level APIs, by label of the service.
func (c *Cloud) ProjectRequests(id string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byOwner[id])
}

// MaxInFlight returns the highest number of requests that were served at the same time.
func (c *Cloud) MaxInFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mostInFlight
}

// SetKeys replaces the permanent keys of an account. The old ones are rejected from then on.
func (c *Cloud) SetKeys(account, accessKey, secretKey, securityToken string) {
	c.Update(account, func(a *cloudsim.Account) {
		a.AccessKey, a.SecretKey, a.SecurityToken = accessKey, secretKey, securityToken
	})
}

// AddProject adds a project to an account.
func (c *Cloud) AddProject(account string, p cloudsim.Project) {
	c.Update(account, func(a *cloudsim.Account) { a.Projects = append(a.Projects, p) })
}

// RemoveProject removes a project: IAM does not list it any more, and its quotas are forbidden. It panics if there is no such project.
func (c *Cloud) RemoveProject(id string) {
	c.Update(c.owner(id), func(a *cloudsim.Account) {
		a.Projects = slices.DeleteFunc(a.Projects, func(p cloudsim.Project) bool { return p.ID == id })
	})
}

// SetQuota sets the usage and the limit of a resource, and ends its Move. It panics if the project does not have this quota.
func (c *Cloud) SetQuota(projectID, service, resourceType string, used, limit int64) {
	c.Update(c.owner(projectID), func(a *cloudsim.Account) {
		for i := range a.Projects {
			if p := &a.Projects[i]; p.ID == projectID {
				p.Quotas = changed(p.Quotas, "project "+projectID, service, resourceType, used, limit)
			}
		}
	})
}

// changed returns a copy of quotas with one that is changed. It panics if the quotas of owner do not have it.
func changed(all map[string][]cloudsim.Quota, owner, service, resourceType string, used, limit int64) map[string][]cloudsim.Quota {
	quotas := slices.Clone(all[service])
	n := slices.IndexFunc(quotas, func(q cloudsim.Quota) bool { return q.Type == resourceType })
	if n < 0 {
		panic(fmt.Sprintf("cloudtest: %s states no quota %q of %q", owner, resourceType, service))
	}
	quotas[n].Used, quotas[n].Limit, quotas[n].Move = used, limit, nil
	all = maps.Clone(all)
	all[service] = quotas
	return all
}

// owner returns the name of the account that has a project. It panics if there is no such project.
func (c *Cloud) owner(projectID string) string {
	name := c.find(func(a cloudsim.Account) bool {
		return slices.ContainsFunc(a.Projects, func(p cloudsim.Project) bool { return p.ID == projectID })
	}).Name
	if name == "" {
		panic(fmt.Sprintf("cloudtest: no project %q", projectID))
	}
	return name
}

// account returns the account with a name. It panics if there is none.
func (c *Cloud) account(name string) cloudsim.Account {
	a := c.find(func(a cloudsim.Account) bool { return a.Name == name })
	if a.Name == "" {
		panic(fmt.Sprintf("cloudtest: no account %q", name))
	}
	return a
}

// find returns the first account that fits, or an empty one.
func (c *Cloud) find(fits func(cloudsim.Account) bool) cloudsim.Account {
	for _, a := range c.Accounts() {
		if fits(a) {
			return a
		}
	}
	return cloudsim.Account{}
}
