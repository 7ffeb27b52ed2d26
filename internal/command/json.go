package command

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/huaweicloud"
)

// answer is what query prints with --output json. Its keys are a promise to scripts.
type answer struct {
	Quotas   []quotaJSON   `json:"quotas"`
	Failures []failureJSON `json:"failures"`
}

// quotaJSON is a quota. A number that is not known is null; so is the limit where there is none, and unlimited is true then. The ratio
// is null where the limit is 0.
type quotaJSON struct {
	Account      string             `json:"account"`
	Project      string             `json:"project"`
	ProjectID    string             `json:"project_id"`
	Region       string             `json:"region"`
	Service      string             `json:"service"`
	ResourceType string             `json:"resource_type"`
	Unit         string             `json:"unit"`
	Used         *float64           `json:"used"`
	Limit        *float64           `json:"limit"`
	Unlimited    bool               `json:"unlimited"`
	Remaining    *float64           `json:"remaining"`
	Ratio        *float64           `json:"ratio"`
	LimitMin     *float64           `json:"limit_min"`
	LimitMax     *float64           `json:"limit_max"`
	Thresholds   map[string]float64 `json:"thresholds"`
	ReadAt       time.Time          `json:"read_at"`
}

// failureJSON is a read that failed; that of an account's projects has the service "iam" and no project. The reason is that of the metric
// cloud_quota_last_failure_reason, fleet.NoProjects, or one of fleet.NotAsked and fleet.Unfinished if the command ended before the read did. Error
// is the whole text; the remedy, which the text ends with, is empty if there is none. Nobody has to look for it in a text that quotes the cloud.
type failureJSON struct {
	Account string `json:"account"`
	Project string `json:"project"`
	Service string `json:"service"`
	Reason  string `json:"reason"`
	Error   string `json:"error"`
	Remedy  string `json:"remedy"`
}

func (o *outcome) writeJSON(w io.Writer, rows []row) error {
	a := answer{Quotas: []quotaJSON{}, Failures: []failureJSON{}}
	for _, r := range rows {
		a.Quotas = append(a.Quotas, r.json())
	}
	for _, r := range o.readings {
		if err := o.failure(r); err != nil {
			a.Failures = append(a.Failures, newFailure(r.Account, r.Project.Label, r.Service, fleet.Reason(err), err))
		}
	}
	for _, account := range o.accounts {
		if err := account.DiscoveryErr; err != nil {
			a.Failures = append(a.Failures, newFailure(account.Name, "", "iam", fleet.Reason(err), err))
		}
		if err := account.Empty; err != nil {
			a.Failures = append(a.Failures, newFailure(account.Name, "", "iam", fleet.NoProjects, err))
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(a); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func newFailure(account, project, service, reason string, err error) failureJSON {
	return failureJSON{account, project, service, reason, err.Error(), huaweicloud.Remedy(err)}
}

func (r row) json() quotaJSON {
	finite := func(n *float64) *float64 {
		if n != nil && math.IsInf(*n, 0) {
			return nil
		}
		return n
	}
	thresholds := r.Thresholds
	if thresholds == nil {
		thresholds = map[string]float64{}
	}
	q := quotaJSON{
		Account: r.Account, Project: r.Project.Label, ProjectID: r.Project.ID, Region: r.Project.Region,
		Service: r.Service, ResourceType: r.ResourceType, Unit: r.Unit,
		Used: r.Used, Limit: finite(r.Limit), Unlimited: r.Limit != nil && math.IsInf(*r.Limit, 1), Remaining: finite(r.Remaining),
		LimitMin: r.Min, LimitMax: r.Max, Thresholds: thresholds, ReadAt: r.State.ReadAt.UTC().Truncate(time.Second),
	}
	if ratio, known := r.Ratio(); known {
		q.Ratio = finite(&ratio)
	}
	return q
}
