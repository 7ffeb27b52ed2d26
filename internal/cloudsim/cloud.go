// Package cloudsim is a simulated Huawei Cloud: an http.Handler that answers IAM's list of projects and the quota APIs that it is given
// as the gateway of the real cloud would, signatures, tokens, hosts and errors included. It also issues temporary keys and tokens, as
// IAM does, the metadata service of an ECS, and pod identity. It serves the demo command, tests and benchmarks, none of which need an
// account or a network for it.
//
// It has no list of services: hosts, paths and bodies are data. Only what DBSS has besides its quotas is code.
//
// It shares no code with the client that it answers, so that each of the two proves the other right.
package cloudsim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is who signs requests, and the projects that it owns.
type Account struct {
	Name                 string // name of the IAM domain
	AccessKey, SecretKey string // empty: it has no permanent keys
	SecurityToken        string // requests must carry it in X-Security-Token, and sign it, where it is not empty
	Projects             []Project
	Users                []User            // who log in with a password, POST /v3/auth/tokens
	Agencies             []Agency          // by which callers of other accounts get temporary keys of this one
	IdentityProvider     *IdentityProvider // whose id tokens are exchanged for a token; nil: none
}

// Project is a project as IAM's GET /v3/projects shows it, and what the services have to say about it.
type Project struct {
	ID, Name string // the name is a region's ("ap-southeast-3"), or a sub-project's ("ap-southeast-3_dev")
	Region   string // default: Name up to the first "_"
	Disabled bool   // what IAM shows; the services answer all the same
	// Quotas by label of the service. A service that is not in it answers with its example. Not to be changed once it was handed over;
	// SetQuota does that.
	Quotas         map[string][]Quota
	AuditInstances int // how many audit instances DBSS lists
}

// Quota is one resource of an answer. What remains is Limit less Used.
type Quota struct {
	Type, Unit  string
	Used, Limit int64 // a Limit of -1 is sent as it is, and as what remains
	Min, Max    int64 // not sent where both are 0
	// Move, where it is set, gives what is used now, by the time since New.
	Move func(elapsed time.Duration) int64
}

// Cloud is the simulated cloud. It is safe for concurrent use.
type Cloud struct {
	started time.Time
	routes  routes

	mu           sync.Mutex
	accounts     []*account
	projects     map[string]project // never changed in place, so that answers can be made without the lock
	received     map[string]int
	byProject    map[string]map[string]int
	faults       []*fault
	issued       issued
	machine      Machine
	serial       int // of requests, for their ids
	inFlight     int
	mostInFlight int
}

type account struct {
	Account

	projectIDs []string // in the order in which IAM lists them
}

type project struct {
	Project

	owner *account
}

// New returns a cloud that publishes these quota APIs, with these accounts.
func New(apis []API, accounts ...Account) *Cloud {
	c := &Cloud{
		started:   time.Now(),
		routes:    newRoutes(apis),
		projects:  map[string]project{},
		received:  map[string]int{},
		byProject: map[string]map[string]int{},
		issued:    newIssued(),
	}
	for _, a := range accounts {
		c.accounts = append(c.accounts, &account{Account: a})
		for _, p := range a.Projects {
			c.AddProject(a.Name, p)
		}
	}
	return c
}

// Projects returns the projects of all accounts, in the order in which they were given.
func (c *Cloud) Projects() []Project {
	c.mu.Lock()
	defer c.mu.Unlock()
	var projects []Project
	for _, a := range c.accounts {
		for _, id := range a.projectIDs {
			projects = append(projects, c.projects[id].Project)
		}
	}
	return projects
}

// AddProject gives one more project to the account of that name. It panics if the project states quotas that no API can write: that is
// a mistake in a test.
func (c *Cloud) AddProject(account string, p Project) {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner := c.account(account)
	c.check(p)
	if _, taken := c.projects[p.ID]; taken {
		panic(fmt.Sprintf("cloudsim: there already is a project %q", p.ID))
	}
	if p.Region == "" {
		p.Region, _, _ = strings.Cut(p.Name, "_")
	}
	c.projects[p.ID] = project{p, owner}
	owner.projectIDs = append(owner.projectIDs, p.ID)
}

// check panics if the project states quotas that can't be written.
func (c *Cloud) check(p Project) {
	for service, quotas := range p.Quotas {
		if err := c.routes.check(service, quotas); err != nil {
			panic(fmt.Sprintf("cloudsim: the quotas of %q that project %q states can't be written: %v", service, p.ID, err))
		}
	}
}

// RemoveProject takes a project away: IAM does not list it any more, and its quotas are forbidden.
func (c *Cloud) RemoveProject(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.project(id)
	p.owner.projectIDs = slices.DeleteFunc(p.owner.projectIDs, func(other string) bool { return other == id })
	delete(c.projects, id)
}

// SetQuota sets what is used and the limit of one resource, which stops its Move. It panics where the project states no such quota:
// that is a mistake in a test.
func (c *Cloud) SetQuota(projectID, service, resourceType string, used, limit int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.project(projectID)
	quotas := slices.Clone(p.Quotas[service])
	i := slices.IndexFunc(quotas, func(q Quota) bool { return q.Type == resourceType })
	if i < 0 {
		panic(fmt.Sprintf("cloudsim: project %q states no quota %q of %q", projectID, resourceType, service))
	}
	quotas[i].Used, quotas[i].Limit, quotas[i].Move = used, limit, nil
	p.Quotas = maps.Clone(p.Quotas)
	p.Quotas[service] = quotas
	c.projects[projectID] = p
}

// SetKeys rotates the keys of the account of that name: the old ones are refused from now on.
func (c *Cloud) SetKeys(account, accessKey, secretKey, securityToken string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.account(account)
	a.AccessKey, a.SecretKey, a.SecurityToken = accessKey, secretKey, securityToken
}

// account and project find what a caller names under the lock; that it is unknown is a mistake of the caller.
func (c *Cloud) account(name string) *account {
	i := slices.IndexFunc(c.accounts, func(a *account) bool { return a.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("cloudsim: no account %q", name))
	}
	return c.accounts[i]
}

func (c *Cloud) project(id string) project {
	p, known := c.projects[id]
	if !known {
		panic(fmt.Sprintf("cloudsim: no project %q", id))
	}
	return p
}

func (c *Cloud) elapsed() time.Duration { return time.Since(c.started) }

// hexID makes an id as the cloud's are, 32 hexadecimal digits, which is always the same for a name.
func hexID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}
