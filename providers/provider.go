// Package providers reads the quotas of Huawei Cloud's services, one file a service. A provider asks its API once, through the client
// that it is handed, and returns what the answer says in the units of the API. Providers keep no state, do not log and do not cache.
//
// A sixth service is one file here and one line in All.
package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Quota is one quota of a service. A nil number was not reported; it is never replaced by zero.
type Quota struct {
	ResourceType string   // "type" in the API, e.g. "data_tracker"
	Unit         string   // of the numbers, e.g. "GB"; empty for a count
	Used         *float64 // amount in use
	Limit        *float64 // the quota; +Inf where the service says that there is no limit
	Remaining    *float64 // amount left, only where the service reports just that
	Min, Max     *float64 // the range within which the limit can be requested
}

// Result is one answer: the quotas that could be read, and why others could not.
type Result struct {
	Quotas     []Quota
	Skipped    Skipped // resources that were left out
	Incomplete error   // why a quota lacks numbers that the service could tell; nil if none does
}

// Skipped are resources that were left out since they could not be read.
type Skipped struct {
	Count   int
	Reasons []error // of the first few
}

const maxReasons = 10

// add takes note of one more resource.
func (s *Skipped) add(why error) {
	s.Count++
	if len(s.Reasons) < maxReasons {
		s.Reasons = append(s.Reasons, why)
	}
}

// String tells the reasons, one a line.
func (s Skipped) String() string {
	if s.Count == 0 {
		return ""
	}
	text := errors.Join(s.Reasons...).Error()
	if more := s.Count - len(s.Reasons); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// Options is what the configuration may change in how a service is asked.
type Options struct {
	ListInstances bool // DBSS: list the audit instances, by which used and limit are known
}

// Service is one service whose quotas are read.
type Service struct {
	Name     string                     // the service label, e.g. "cts"
	Action   string                     // the IAM action to grant; empty where Huawei documents none
	Host     func(region string) string // first label of the API's host, e.g. "gaussdb-mysql"
	CacheTTL time.Duration              // how long its numbers serve unless configured; 0: as with the other services

	ListsInstances bool // whether Options.ListInstances means something to it

	// Quotas asks the service about the client's project. The errors are those of huaweicloud.Client.Get; an answer with nothing
	// readable in it is a *huaweicloud.MalformedError.
	Quotas func(ctx context.Context, c *huaweicloud.Client, o Options) (Result, error)
}

// All returns the services, in the order in which they are shown.
func All() []Service {
	return []Service{cts(), ces(), taurusDB(), dcs(), dbss()}
}

// host is the Host of a service that is called the same in every region.
func host(name string) func(string) string {
	return func(string) string { return name }
}
