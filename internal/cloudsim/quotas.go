package cloudsim

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// resource is one entry of an answer, in the shape that CTS, CES, TaurusDB and DCS share.
type resource struct {
	Unit  any    `json:"unit,omitempty"`
	Min   *int64 `json:"min,omitempty"`
	Max   *int64 `json:"max,omitempty"`
	Type  string `json:"type"`
	Quota int64  `json:"quota"`
	Used  int64  `json:"used"`
}

// showQuotas answers the quota APIs of CTS, CES, TaurusDB and DCS.
func (c *Cloud) showQuotas(q call) answer {
	service := q.api.service
	quotas, stated := q.project.Quotas[service]
	if !stated {
		return answer{status: http.StatusOK, body: []byte(example(service))}
	}
	resources := make([]resource, 0, len(quotas))
	for _, quota := range quotas {
		r := resource{Type: quota.Type, Quota: quota.Limit, Used: quota.used(c.elapsed())}
		if quota.Min != 0 || quota.Max != 0 {
			r.Min, r.Max = &quota.Min, &quota.Max
		}
		switch {
		case service == "dcs" && quota.Unit == "":
			r.Unit = struct{}{}
		case service == "dcs" || service == "ces":
			r.Unit = quota.Unit
		}
		resources = append(resources, r)
	}
	body := map[string]any{"resources": resources}
	if service != "cts" {
		body = map[string]any{"quotas": body}
	}
	return answer{status: http.StatusOK, body: encode(body)}
}

// showRemaining answers DBSS's quota API, which tells only what is left.
func (c *Cloud) showRemaining(q call) answer {
	quotas, stated := q.project.Quotas["dbss"]
	if !stated {
		return answer{status: http.StatusOK, body: []byte(example("dbss"))}
	}
	body := map[string]any{"project_id": q.projectID}
	for _, quota := range quotas {
		name := quota.Type
		if name == "audit_instance" {
			name = "audit_quota"
		}
		body[name] = quota.Limit
		if quota.Limit >= 0 {
			body[name] = quota.Limit - quota.used(c.elapsed())
		}
	}
	return answer{status: http.StatusOK, body: encode(body)}
}

func (q Quota) used(elapsed time.Duration) int64 {
	if q.Move != nil {
		return q.Move(elapsed)
	}
	return q.Used
}

type auditInstance struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Status      string `json:"status"`
	ChargeModel string `json:"charge_model"`
	Region      string `json:"region"`
	CPU         int    `json:"cpu"`
	RAM         int    `json:"ram"`
}

// listAuditInstances answers DBSS's GET /v2/{project_id}/audit/instances ("Query the audit instance list").
func (*Cloud) listAuditInstances(q call) answer {
	query, total := q.URL.Query(), q.project.AuditInstances
	offset, offsetErr := number(query, "offset", 0, 0, math.MaxInt32)
	limit, limitErr := number(query, "limit", 100, 1, 1000)
	if offsetErr != nil || limitErr != nil {
		return serviceError(q, http.StatusBadRequest, "offset or limit is out of range")
	}
	instances := []auditInstance{}
	for i := offset; i < min(offset+limit, total); i++ {
		name := fmt.Sprintf("audit-%04d", i+1)
		instances = append(instances, auditInstance{
			ID: hexID(q.projectID + name), Name: name, Status: "ACTIVE", ChargeModel: "Demand", Region: q.project.Region, CPU: 4, RAM: 16384,
		})
	}
	return answer{status: http.StatusOK, body: encode(map[string]any{"instances": instances, "total": total})}
}

// number reads a parameter of the query that may be missing.
func number(query url.Values, name string, missing, least, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && (n < least || n > most) {
		err = strconv.ErrRange
	}
	return n, err
}
