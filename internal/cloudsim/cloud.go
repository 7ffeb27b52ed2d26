// Package cloudsim is a simulated Huawei Cloud: an http.Handler for IAM's list of projects and the quota APIs that it is given, with
// the errors of the real cloud's gateway. The demo command uses it. Package cloudtest adds what tests need: verification of
// signatures, tokens, temporary keys, faults, TLS, and counters.
//
// It has no list of services: hosts, paths and bodies are data. Only the second API of DBSS is code.
//
// It shares no code with the client, so that a mistake in one of them does not hide the same mistake in the other.
package cloudsim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is an account of the cloud, with its permanent keys and its projects.
type Account struct {
	Name                 string // name of the IAM domain
	AccessKey, SecretKey string // for Authenticate; empty: the account has no permanent keys
	SecurityToken        string // if it is not empty, requests must carry it in X-Security-Token and sign it
	Projects             []Project
	Quotas               map[string][]Quota // of account-level services, as those of a Project
}

// Project is a project as IAM's GET /v3/projects lists it, with its quotas.
type Project struct {
	ID, Name string // the name is a region's ("ap-southeast-3"), or a sub-project's ("ap-southeast-3_dev")
	Region   string // default: Name up to the first "_"
	Disabled bool   // IAM lists it as disabled; the services respond as usual
	// Quotas are the configured quotas by label of the service. The other services respond with their examples. The cloud does not copy
	// the map: replace it instead of changing it.
	Quotas         map[string][]Quota
	AuditInstances int // how many audit instances DBSS lists
}

// Quota is one resource in a response. Remaining is Limit minus Used.
type Quota struct {
	Type, Unit  string
	Used, Limit int64 // a Limit of -1 is sent unchanged, also as remaining
	Min, Max    int64 // not sent if both are 0
	// Move, if it is not nil, returns the usage at a time since New.
	Move func(elapsed time.Duration) int64
}

// Cloud is the simulated cloud. It is safe for concurrent use. Intercept and Authenticate may be set before it serves.
type Cloud struct {
	// Intercept is called before the gateway checks a request, and returns the response. next returns the usual response. By default,
	// Intercept only calls next.
	Intercept func(q Call, next func(Call) Answer) Answer
	// Authenticate returns the name of the account that sent a request, or the response if the gateway rejects it. By default, the first
	// account sent it.
	Authenticate func(q Call) (account string, refusal *Answer)

	started time.Time
	apis    []*API // as they were published

	mu       sync.Mutex
	accounts []Account          // replaced as a whole
	projects map[string]project // by ID; replaced as a whole
	serial   int                // of requests, for their IDs
}

type project struct {
	Project

	owner string // name of the account
}

// New returns a cloud that publishes the quota APIs, with these accounts.
func New(apis []API, accounts ...Account) *Cloud {
	c := &Cloud{
		Intercept: func(q Call, next func(Call) Answer) Answer { return next(q) },
		started:   time.Now(),
	}
	c.Authenticate = func(Call) (string, *Answer) { return c.Accounts()[0].Name, nil }
	for _, path := range []string{"/v3/projects", "/v3/auth/projects"} {
		c.Publish(API{Service: "iam", Path: path, Host: func(string) string { return "iam" }, own: (*Cloud).listProjects})
	}
	c.Publish(apis...)
	c.set(accounts)
	return c
}

// Accounts returns the accounts. Don't modify them: Update does.
func (c *Cloud) Accounts() []Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accounts
}

// Projects returns the projects of all accounts.
func (c *Cloud) Projects() []Project {
	var projects []Project
	for _, a := range c.Accounts() {
		projects = append(projects, a.Projects...)
	}
	return projects
}

// Update changes an account. It panics if there is no such account, and like New if the changed projects are invalid.
func (c *Cloud) Update(account string, change func(*Account)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	accounts := slices.Clone(c.accounts)
	i := slices.IndexFunc(accounts, func(a Account) bool { return a.Name == account })
	if i < 0 {
		panic(fmt.Sprintf("cloudsim: no account %q", account))
	}
	accounts[i].Projects = slices.Clone(accounts[i].Projects)
	change(&accounts[i])
	c.set(accounts)
}

// set replaces all accounts. It panics if two projects have the same ID, or if an API cannot show the quotas of a project or an account.
func (c *Cloud) set(accounts []Account) {
	accounts = slices.Clone(accounts)
	projects := map[string]project{}
	for i := range accounts {
		a := &accounts[i]
		a.Projects = slices.Clone(a.Projects)
		if err := c.checkQuotas(a.Quotas, true); err != nil {
			panic(fmt.Sprintf("cloudsim: account %q: %v", a.Name, err))
		}
		for j := range a.Projects {
			p := &a.Projects[j]
			if err := c.checkQuotas(p.Quotas, false); err != nil {
				panic(fmt.Sprintf("cloudsim: project %q: %v", p.ID, err))
			}
			if _, exists := projects[p.ID]; exists {
				panic(fmt.Sprintf("cloudsim: two projects have the ID %q", p.ID))
			}
			if p.Region == "" {
				p.Region, _, _ = strings.Cut(p.Name, "_")
			}
			projects[p.ID] = project{*p, a.Name}
		}
	}
	c.accounts, c.projects = accounts, projects
}

// project returns the project with an ID, or an empty one.
func (c *Cloud) project(id string) project {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.projects[id]
}

// account returns the account with a name, or an empty one.
func (c *Cloud) account(name string) Account {
	for _, a := range c.Accounts() {
		if a.Name == name {
			return a
		}
	}
	return Account{}
}

// ID returns an ID like those of the cloud, 32 hexadecimal digits. It is always the same for a name. The ID of an account's domain is made
// of the name of the account.
func ID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}
