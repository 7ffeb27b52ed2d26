// Package providers reads the quotas of Huawei Cloud's services. A service is data: one entry in catalogue.yml describes its quota API, and
// one decoder reads the answers of all. DBSS has code beside its entry, for what its answer does not report. Providers keep no state, do
// not log and do not cache.
package providers

import (
	"context"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Service is one service whose quotas are read.
type Service struct {
	Name    string // the service label, e.g. "cts"
	Product string // its full name, e.g. "Cloud Trace Service"
	Title   string // of the page of the API reference that describes the API
	API     *API

	Enabled  bool            // unless it is configured
	CacheTTL time.Duration   // how long its numbers are fresh unless configured; 0: as for the other services
	Muted    []string        // resource types that have no alert thresholds unless configured
	Options  map[string]bool // its own settings beside those of all services, with their defaults

	fetch fetch // nil: the API is asked once
}

// fetch asks a service whose answer needs more than its description.
type fetch func(ctx context.Context, c *huaweicloud.Client, s Service, options map[string]bool) (Result, error)

// Quotas asks the service about the client's project. Options are those of the service; one that is missing is false. The errors are those
// of huaweicloud.Client.Get; an answer with nothing readable in it is a *huaweicloud.MalformedError.
func (s Service) Quotas(ctx context.Context, c *huaweicloud.Client, options map[string]bool) (Result, error) {
	asked := *c
	asked.Action = s.API.Action.String()
	if s.fetch != nil {
		return s.fetch(ctx, &asked, s, options)
	}
	answer, err := s.API.get(ctx, &asked)
	if err != nil {
		return Result{}, err
	}
	return s.API.Decode(answer)
}
