package providers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"cloud_quota_exporter/internal/huaweicloud"
)

const (
	// Partner clouds know only the second path.
	dbssQuotaPath        = "/v2/{project_id}/audit/quota"
	dbssPartnerQuotaPath = "/v1/{project_id}/dbss/audit/quota"

	dbssListAction = "dbss:auditInstance:list"

	dbssPageSize = 1000 // the largest that is documented
	dbssMaxPages = 50   // of a list without a total; beyond that, something else is wrong
)

// dbss is Database Security Service: GET /v2/{project_id}/audit/quota, "Querying Account Quota Information". It reports only what
// remains: audit_instance, cpu, and ram in MB. The number of audit instances (GET /v2/{project_id}/audit/instances) gives used and,
// with what remains, the limit of audit_instance; cpu and ram look like shares of a larger pool, so that nothing is derived for them.
// The IAM action of the quota is not documented.
func dbss() Service {
	return Service{Name: "dbss", Host: host("dbss"), ListsInstances: true, Quotas: dbssQuotas}
}

func dbssQuotas(ctx context.Context, c *huaweicloud.Client, o Options) (Result, error) {
	answer, err := dbssQuotaAnswer(ctx, c)
	if err != nil {
		return Result{}, err
	}
	result, err := dbssRemaining(answer)
	if err != nil {
		return Result{}, err
	}
	audit := &result.Quotas[0]
	if audit.ResourceType != "audit_instance" || !o.ListInstances {
		return result, nil
	}
	used, err := dbssInstances(ctx, c)
	if reason := huaweicloud.Reason(err); err != nil && (reason == huaweicloud.ReasonForbidden || reason == huaweicloud.ReasonNotFound) {
		result.Incomplete = fmt.Errorf("used and limit of audit_instance are not known: %w", err)
		return result, nil
	}
	if err != nil {
		return Result{}, err
	}
	limit := used + *audit.Remaining
	audit.Used, audit.Limit = &used, &limit
	return result, nil
}

func dbssQuotaAnswer(ctx context.Context, c *huaweicloud.Client) (*huaweicloud.Answer, error) {
	answer, err := c.Get(ctx, cmp.Or(c.QuotaPath, dbssQuotaPath))
	if err == nil || c.QuotaPath != "" || huaweicloud.Reason(err) != huaweicloud.ReasonNotFound {
		return answer, err
	}
	partner, errPartner := c.Get(ctx, dbssPartnerQuotaPath)
	if errPartner != nil && huaweicloud.Reason(errPartner) == huaweicloud.ReasonNotFound {
		return nil, err
	}
	return partner, errPartner
}

// dbssRemaining reads the quotas of the answer, audit_instance first.
func dbssRemaining(answer *huaweicloud.Answer) (Result, error) {
	var body struct {
		AuditQuota number `json:"audit_quota"`
		CPU        number `json:"cpu"`
		RAM        number `json:"ram"`
	}
	if err := decode(answer, &body); err != nil {
		return Result{}, err
	}
	result := Result{Quotas: make([]Quota, 0, 3)}
	for _, field := range []struct {
		name, resourceType, unit string
		number                   number
	}{
		{"audit_quota", "audit_instance", "", body.AuditQuota},
		{"cpu", "cpu", "", body.CPU},
		{"ram", "ram", "MB", body.RAM},
	} {
		remaining, err := field.number.amount(field.name)
		switch {
		case err != nil:
			result.Skipped.add(err)
		case remaining != nil:
			result.Quotas = append(result.Quotas, Quota{ResourceType: field.resourceType, Unit: field.unit, Remaining: remaining})
		}
	}
	return result.orMalformed(answer)
}

// dbssInstances counts the audit instances. The list is called "instances" or, in older documents, "servers".
func dbssInstances(ctx context.Context, c *huaweicloud.Client) (float64, error) {
	list := *c
	list.Action = dbssListAction
	var answer *huaweicloud.Answer
	count := 0
	for page := range dbssMaxPages {
		var err error
		answer, err = list.Get(ctx, fmt.Sprintf("/v2/{project_id}/audit/instances?offset=%d&limit=%d", page*dbssPageSize, dbssPageSize))
		if err != nil {
			return 0, err
		}
		var body struct {
			Instances []json.RawMessage `json:"instances"`
			Servers   []json.RawMessage `json:"servers"`
			Total     number            `json:"total"`
		}
		if err := decode(answer, &body); err != nil {
			return 0, err
		}
		onPage := len(body.Instances) + len(body.Servers)
		count += onPage
		total, err := body.Total.amount("total")
		switch {
		case err != nil:
			return 0, answer.Malformed(err.Error())
		case total != nil && *total < float64(count):
			return 0, answer.Malformed(fmt.Sprintf("total is %g, but %d audit instances are listed", *total, count))
		case total != nil:
			return *total, nil
		case body.Instances == nil && body.Servers == nil:
			return 0, answer.Malformed("there is no list of audit instances in it")
		case onPage < dbssPageSize:
			return float64(count), nil
		}
	}
	return 0, answer.Malformed(fmt.Sprintf("the list of audit instances goes on after %d", count))
}
