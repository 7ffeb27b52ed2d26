// Package config reads the configuration file and reports everything that is wrong with it at once.
//
// The text becomes a tree of YAML nodes (package strictyaml); every reader takes one node, checks it and returns the resolved value, so that a rule stands
// next to the value it is about and knows its line. Nothing of the file but closed harmless forms is ever quoted in an error, since a
// secret may stand anywhere by mistake. Files that the configuration names are not read here, except the profile if no file has accounts.
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
	maxFile     = 1 << 20          // bytes; ten thousand configured projects take about as many
	readTimeout = 10 * time.Second // for the file system to respond
)

// Errors are all problems of a configuration, ordered by line. They hold no value of the file.
type Errors = strictyaml.Errors

// Short returns a duration as users write it: 5m, not 5m0s.
func Short(d time.Duration) string { return strictyaml.Short(d) }

// Config is a whole configuration: valid, with the defaults applied and every known service present.
type Config struct {
	File       string // that it was loaded from; "": none
	Accounts   []Account
	Known      []providers.Service // the built-in services and those of the file, in the order in which they are shown
	Services   map[string]Service  // the settings of all of them, by name
	Idle       []string            // where the file has sections of services that are off for want of enabled
	Limits     []Limit             // in their order: the first that fits a quota counts
	Thresholds []Threshold         // in their order, too; the last fits every quota
	Decisions  []Decision          // of the variables that the account comes from; nil if a file has accounts
}

// Account is a set of credentials and the projects that are read with it.
type Account struct {
	Name        string // unique; "default" if a single account states none
	Credentials Credentials
	Cloud       string // the domain behind <service host>.<region>; "" is the one that belongs to the region
	DomainID    string // of the account itself; "": not stated
	Endpoints   Endpoints
	CAFile      string     // of certificates to trust; "" is the system's own
	Projects    []Project  // as stated; at least one, unless there is a Discovery or only account-level services are wanted
	Discovery   *Discovery // nil: none

	MaxInFlightPerHost int // requests at a time to one host, over all services; default 64

	// ProfileSays is what the keys of the profile said that count beside ak and sk, when this was read; nil: none counts.
	ProfileSays map[string]string
}

// Project is one project of an account, in one region.
type Project struct {
	ID     string // the project_id; "" is to be looked up in IAM by the name of the region
	Region string
	Name   string // the project label, unique in the configuration; the region where none is stated

	IAMName string // by which IAM is asked for the id instead of the region; "": by the region
}

// Service is what holds for one quota service in every account.
type Service struct {
	Enabled     bool            // default: the service's own
	CacheTTL    time.Duration   // how long numbers are fresh; 0 asks on every scrape; default 5m, or the service's own
	Timeout     time.Duration   // of one fetch; default 8s
	MaxStale    time.Duration   // numbers older than this are dropped; at least CacheTTL; default 6h
	MaxInFlight int             // fetches at a time in each account; default 8
	Options     map[string]bool // the service's own settings, every one of them

	ByDefaults bool // it is enabled because services.defaults enables all; regions need not have it
}

// blank is a text of nothing but comments. As a file that is being written it must not replace a configuration.
var blank = regexp.MustCompile(`^(\s*(#[^\n]*)?(\n|$))*$`)

// Load reads the file at path: a regular file of at most 1 MiB, to which links may lead. It waits 10 seconds at most, or until ctx ends. The
// environment is asked for the account if the file has none.
func Load(ctx context.Context, path string, known []providers.Service, getenv func(string) string) (*Config, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	text, err := files.Read(ctx, path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %s: %w; name a readable file with --config.file, "+
			"or leave the flag out to serve one account from the environment", path, err)
	}
	if blank.Match(text) {
		return nil, Errors{path + ": it is empty; state at least accounts or services, or leave out --config.file to serve one account from the environment"}
	}
	config, err := parse(ctx, path, text, known, getenv)
	if err != nil {
		return nil, err
	}
	config.File = path
	return config, nil
}

// Parse reads the text of a configuration file; name stands for the file in errors, which are of type Errors. The environment is
// asked for the account if the text has none.
func Parse(name string, text []byte, known []providers.Service, getenv func(string) string) (*Config, error) {
	return parse(context.Background(), name, text, known, getenv)
}

func parse(ctx context.Context, name string, text []byte, known []providers.Service, getenv func(string) string) (*Config, error) {
	found := strictyaml.NewProblems(name)
	file, readable := strictyaml.Parse(text, found).Fields("accounts", "services", "limits", "thresholds")
	if err := found.Err(); err != nil && !readable {
		return nil, err // what is missing in a text that can't be read would only distract
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

// FromEnvironment is the configuration without a file: one account with one project, and every service with its defaults. Its error is of
// type Errors. It waits 5 seconds at most for the profile, or until ctx ends.
func FromEnvironment(ctx context.Context, known []providers.Service, getenv func(string) string) (*Config, error) {
	return parse(ctx, "environment", nil, known, getenv)
}
