// Package providers reads the quotas of Huawei Cloud's services. A service is data: one entry in catalogue.yml describes its quota API, and
// one decoder reads the answers of all. DBSS has code beside its entry, for what its answer does not report. Providers keep no state, do
// not log and do not cache.
package providers

import (
	"cmp"
	"context"
	"errors"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Service is one service whose quotas are read.
type Service struct {
	Name     string // the service label, e.g. "cts"
	Product  string // its full name, e.g. "Cloud Trace Service"
	Title    string // of the page of the API reference that describes the API, or the name of the operation
	Evidence string // where the API is described: document, openapi, sdk, terraform or outdated; configuration for an API of the user's own
	Inferred string // why a sentinel holds although no document of Huawei says so; empty if one does, or there is none
	Notes    string // what else a user should know
	Overlap  string // other services whose quotas are about the same resources
	SDK      string // its name in Huawei's SDKs; empty if that is Name
	API      *API

	Enabled  bool            // unless it is configured
	CacheTTL time.Duration   // how long its numbers are fresh unless configured; 0: as for the other services
	Muted    []string        // resource types that have no alert thresholds unless configured
	Options  map[string]bool // its own settings beside those of all services, with their defaults

	OptionActions map[string]Action // what an option needs beside the action of the API

	fetch fetch // nil: the API is asked once
}

// IsOwn returns whether the configuration describes the API, and not the catalogue.
func (s Service) IsOwn() bool { return s.Evidence == ownAPI }

// IsVerified returns whether a document of Huawei or the user describes the API. Otherwise nobody knows whether the answers are as described.
func (s Service) IsVerified() bool {
	return s.Evidence == "document" || s.Evidence == "openapi" || s.IsOwn()
}

// fetch asks a service whose answer needs more than its description.
type fetch func(ctx context.Context, c *huaweicloud.Client, s Service, options map[string]bool) (Result, error)

// Quotas asks the service about the client's project. Options are those of the service; one that is missing is false. The errors are those
// of huaweicloud.Client.Get; an answer with nothing readable in it is a *huaweicloud.MalformedError.
func (s Service) Quotas(ctx context.Context, c *huaweicloud.Client, options map[string]bool) (Result, error) {
	asked := *c
	asked.Action = s.API.Action.Advice()
	if s.IsOwn() {
		whose := "the project exists in the region"
		if s.API.Account {
			whose = "the account uses the service"
		}
		asked.Advice = map[string]string{huaweicloud.ReasonNotFound: "check host and path of services." + s.Name + ".api, and that " + whose}
	}
	fetch := s.fetch
	if fetch == nil {
		fetch = fetchOnce
	}
	result, err := fetch(ctx, &asked, s, options)
	var malformed *huaweicloud.MalformedError
	if s.IsOwn() && errors.As(err, &malformed) {
		malformed.Advice = "compare services." + s.Name + ".api with the answer, and check that no proxy or wrong endpoint has answered"
	}
	if err != nil {
		return Result{}, err
	}
	result.Owner = cmp.Or(c.Scope.DomainID, c.Scope.ProjectID)
	return result, nil
}

// fetchOnce asks the API once.
func fetchOnce(ctx context.Context, c *huaweicloud.Client, s Service, _ map[string]bool) (Result, error) {
	answer, err := s.API.get(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return s.API.Decode(answer)
}

// Quota is one quota of a service. A nil number was not reported; it is never replaced by zero.
type Quota struct {
	ResourceType string   // the API's own word, e.g. "data_tracker"
	Unit         string   // of the numbers, e.g. "GB"; empty for a count
	Used         *float64 // amount in use
	Limit        *float64 // the quota; +Inf if the service says that there is no limit
	Remaining    *float64 // amount left, only if the service reports it
	Min, Max     *float64 // the range in which the limit can be requested
}

// Result is one answer: the quotas that could be read, and why others could not.
type Result struct {
	Owner string // id of the project or, of an account-level service, of the account

	Quotas     []Quota
	Skipped    Skipped // resources that were left out
	Incomplete error   // why a quota lacks numbers that the service could report; nil if none does
}

// Skipped are resources that were left out because they could not be read.
type Skipped = huaweicloud.Skipped
