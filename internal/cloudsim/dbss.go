package cloudsim

import (
	"fmt"
	"math"
	"net/http"
)

// dbssExtras returns what DBSS publishes besides its quota API: the path of the quotas that partner clouds document, and the list of audit
// instances.
func dbssExtras(quotas api) []*api {
	partner, instances := quotas, quotas
	partner.Path = "/v1/{project_id}/dbss/audit/quota"
	instances.Path, instances.Action = "/v2/{project_id}/audit/instances", "dbss:auditInstance:list"
	instances.own = (*Cloud).listAuditInstances
	return []*api{&partner, &instances}
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
func (*Cloud) listAuditInstances(q Call) Answer {
	query, total := q.URL.Query(), q.project.AuditInstances
	offset, offsetErr := number(query, "offset", 0, 0, math.MaxInt32)
	limit, limitErr := number(query, "limit", 100, 1, 1000)
	if offsetErr != nil || limitErr != nil {
		return q.ServiceError(http.StatusBadRequest, "offset or limit is out of range")
	}
	instances := []auditInstance{}
	for i := offset; i < min(offset+limit, total); i++ {
		name := fmt.Sprintf("audit-%04d", i+1)
		instances = append(instances, auditInstance{
			ID: ID(q.ProjectID + name), Name: name, Status: "ACTIVE", ChargeModel: "Demand", Region: q.project.Region, CPU: 4, RAM: 16384,
		})
	}
	return Answer{Status: http.StatusOK, Body: JSON(map[string]any{"instances": instances, "total": total})}
}
