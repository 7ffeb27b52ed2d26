// Package providers fetches the quotas of Huawei Cloud services. A service is data: an entry in catalogue.yml describes its quota
// API, and one decoder handles all responses. DBSS also has code, for what its response does not report. Providers are stateless:
// they neither log nor cache.
package providers

import (
	"cmp"
	"context"
	"errors"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Service is a service with quotas.
type Service struct {
	Name     string // the service label, for example "cts"
	Product  string // the full name, for example "Cloud Trace Service"
	Title    string // of the API's page in the API reference, or the name of the operation
	Evidence string // kind of documentation: document, openapi, sdk, terraform, or outdated; configuration for the user's own APIs
	Inferred string // why a sentinel is used although it is not documented; empty if it is documented, or there is none
	Notes    string // further remarks for users
	Overlap  string // other services whose quotas are for the same resources
	SDK      string // name in Huawei Cloud's SDKs, if it is not Name
	API      *API

	Enabled  bool            // default
	CacheTTL time.Duration   // default; 0: that of all services
	Muted    []string        // resource types without alert thresholds by default
	Options  map[string]bool // settings of only this service, with their defaults

	NeedsProject bool // its account-level API rejects requests without X-Project-Id, with any credentials

	OptionActions map[string]Action // required by options in addition to the action of the API

	fetch fetch // nil: one request
}

// IsOwn reports whether the API is defined by the configuration instead of the catalogue.
func (s Service) IsOwn() bool { return s.Evidence == ownAPI }

// IsVerified reports whether Huawei's documentation or the user describes the API. Otherwise, responses may differ from the
// description.
func (s Service) IsVerified() bool {
	return s.Evidence == "document" || s.Evidence == "openapi" || s.IsOwn()
}

// fetch fetches the quotas of a service that takes more than one described response.
type fetch func(ctx context.Context, c *huaweicloud.Client, s Service, options map[string]bool) (Result, error)

// Quotas fetches the quotas of the client's project. options are those of the service; a missing one is false. The errors are those
// of huaweicloud.Client.Get; a response without valid quotas is a *huaweicloud.MalformedError.
func (s Service) Quotas(ctx context.Context, c *huaweicloud.Client, options map[string]bool) (Result, error) {
	asked := *c
	asked.Action = s.API.Action.Advice()
	if s.IsOwn() {
		advice := "check host and path of services." + s.Name + ".api"
		if !s.API.Account {
			advice += ", and that the project exists in the region"
		}
		asked.Advice = map[string]string{huaweicloud.ReasonNotFound: advice}
	}
	fetch := s.fetch
	if fetch == nil {
		fetch = fetchOnce
	}
	result, err := fetch(ctx, &asked, s, options)
	var malformed *huaweicloud.MalformedError
	if s.IsOwn() && errors.As(err, &malformed) {
		malformed.Advice = "compare services." + s.Name + ".api with the response, and check endpoints and the proxy (something other than the API may have responded)"
	}
	if err != nil {
		return Result{}, err
	}
	result.Owner = cmp.Or(c.Scope.DomainID, c.Scope.ProjectID)
	return result, nil
}

// fetchOnce fetches the quotas with one request.
func fetchOnce(ctx context.Context, c *huaweicloud.Client, s Service, _ map[string]bool) (Result, error) {
	answer, err := s.API.get(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return s.API.Decode(answer)
}

// Quota is one quota of a service. A value that was not reported is nil, never zero.
type Quota struct {
	ResourceType string   // as reported by the API, for example "data_tracker"
	Unit         string   // of the values, for example "GB"; empty for a count
	Used         *float64 // amount in use
	Limit        *float64 // the quota; +Inf if the service reports that there is no limit
	Remaining    *float64 // only if the service reports it
	Min, Max     *float64 // range in which the limit can be requested
}

// Result is one decoded response: the valid quotas, and why others are missing.
type Result struct {
	Owner string // ID of the project or, for an account-level service, of the account

	Quotas     []Quota
	Skipped    Skipped // resources that were skipped
	Incomplete error   // why a quota lacks values that the service can report; nil if none does
}

// Skipped counts resources that were skipped because they are invalid.
type Skipped = huaweicloud.Skipped
