package cloudsim

import (
	"fmt"
	"math"
	"net/http"
)

// dbssExtras are what DBSS publishes besides the API of its quotas: the path of the quotas that partner clouds know, the only one that
// they document, and the list of audit instances.
func dbssExtras(quotas api) []api {
	partner := quotas
	partner.path = "/v1/{project_id}/dbss/audit/quota"
	return []api{partner, {
		service: "dbss", method: get, path: "/v2/{project_id}/audit/instances", host: quotas.host, denied: denied("dbss:auditInstance:list"),
		answer: (*Cloud).listAuditInstances,
	}}
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
