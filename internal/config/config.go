// Package config reads the configuration file and reports all its errors at once.
//
// The text becomes a tree of YAML nodes (package strictyaml). Each reader takes one node, checks it, and returns the resolved value,
// so that each rule is next to its value and knows the line. Errors never quote values of the file, because any of them may be a
// secret by mistake. Files named in the configuration are not read here, except the profile if there are no accounts.
package config

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/providers"
)

const (
	maxFile     = 1 << 20          // bytes; about ten thousand configured projects
	readTimeout = 10 * time.Second // for the file system
)

// Errors are all problems of a configuration, ordered by line. They contain no value of the file.
type Errors = strictyaml.Errors

// Short formats a duration as users write it: 5m, not 5m0s.
func Short(d time.Duration) string { return strictyaml.Short(d) }

// Config is a valid configuration, with the defaults applied and with every known service.
type Config struct {
	File       string // the file that it was loaded from; "": none
	Accounts   []Account
	Known      []providers.Service // built-in services and those of the file, in the order in which they are shown
	Services   map[string]Service  // settings of all services, by name
	Idle       []string            // sections of services without effect because the service is disabled
	Limits     []Limit             // in order of precedence: the first match is used
	Thresholds []Threshold         // in order of precedence; the last one matches every quota
	Decisions  []Decision          // of the variables that define the account; nil if a file has accounts
}

// Account is a set of credentials and the projects that are fetched with it.
type Account struct {
	Name        string // unique; "default" for a single account without a name
	Credentials Credentials
	Cloud       string // the domain after <service host>.<region>; "": that of the region
	DomainID    string // of the account itself; "": not configured
	Endpoints   Endpoints
	CAFile      string     // certificates to trust; "": those of the system
	Projects    []Project  // configured projects; at least one, unless there is a Discovery or only account-level services are enabled
	Discovery   *Discovery // nil: none

	MaxInFlightPerHost int // concurrent requests to one host, over all services; default 64

	// ProfileSays has the values that the profile defined in addition to ak and sk when the configuration was loaded; nil if none is
	// used.
	ProfileSays map[string]string
}

// Project is one project of an account, in one region.
type Project struct {
	ID     string // the project_id; "": looked up in IAM by the name of the region
	Region string
	Name   string // the project label, unique in the configuration; default: the region

	IAMName string // name for the ID lookup in IAM; "": the region
}

// Service holds the settings of one quota service for all accounts.
type Service struct {
	Enabled     bool            // default: that of the service
	CacheTTL    time.Duration   // how long values are cached; 0: fetched on every scrape; default 5m, or that of the service
	Timeout     time.Duration   // of one fetch; default 8s
	MaxStale    time.Duration   // maximum age of values; at least CacheTTL; default 6h
	MaxInFlight int             // concurrent fetches per account; default 8
	Options     map[string]bool // all settings that are specific to the service

	ByDefaults bool // enabled only by services.defaults; regions need not offer it
}

// blank matches a text of only comments and white space. A file that is being written must not replace a configuration.
var blank = regexp.MustCompile(`^(\s*(#[^\n]*)?(\n|$))*$`)

// Load reads the file at path: a regular file of at most 1 MiB, or a link to one. It waits for at most 10 seconds, or until ctx
// ends. If the file has no accounts, the account comes from the environment.
func Load(ctx context.Context, path string, known []providers.Service, getenv func(string) string) (*Config, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	text, err := files.Read(ctx, path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %s: %w; set --config.file to a readable file, "+
			"or omit it to configure one account from the environment", path, err)
	}
	if blank.Match(text) {
		return nil, Errors{path + ": the file is empty; set at least accounts or services, or omit --config.file to configure one account from the environment"}
	}
	config, err := parse(ctx, path, text, known, getenv)
	if err != nil {
		return nil, err
	}
	config.File = path
	return config, nil
}

// Parse parses the text of a configuration file. name is the file in errors, which are of type Errors. If the text has no accounts,
// the account comes from the environment.
func Parse(name string, text []byte, known []providers.Service, getenv func(string) string) (*Config, error) {
	return parse(context.Background(), name, text, known, getenv)
}

func parse(ctx context.Context, name string, text []byte, known []providers.Service, getenv func(string) string) (*Config, error) {
	found := strictyaml.NewProblems(name)
	file, readable := strictyaml.Parse(text, found).Fields("accounts", "services", "limits", "thresholds")
	if err := found.Err(); err != nil && !readable {
		return nil, err // further problems of an invalid text would only distract
	}
	config := new(Config)
	config.readServices(file.Get("services"), known)
	known = slices.SortedFunc(slices.Values(config.Known), func(a, b providers.Service) int { return strings.Compare(a.Name, b.Name) })
	names := namesOf(known)
	config.Limits = readLimits(file.Get("limits"), names)
	config.Thresholds = readThresholds(file.Get("thresholds"), names, config.muted(known))
	if accounts := file.Get("accounts"); accounts.IsEmpty() {
		var account Account
		account, config.Decisions = environmentAccount(ctx, getenv, known, config.ReadsAccounts(), found)
		config.Accounts = []Account{account}
	} else {
		config.Accounts = readAccounts(accounts, known, config.ReadsAccounts())
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	return config, nil
}

// FromEnvironment returns the configuration without a file: one account with one project, and the defaults of every service. Its
// error is of type Errors. It waits for the profile for at most 5 seconds, or until ctx ends.
func FromEnvironment(ctx context.Context, known []providers.Service, getenv func(string) string) (*Config, error) {
	return parse(ctx, "environment", nil, known, getenv)
}
