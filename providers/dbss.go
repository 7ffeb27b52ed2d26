package providers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cloud_quota_exporter/internal/huaweicloud"
)

// optionActions are the actions that options require, by service and option.
var optionActions = map[string]map[string]Action{"dbss": {"list_instances": {dbssListAction, dbssListAction}}}

// fetches are the services with code in addition to their entry in the catalogue.
var fetches = map[string]fetch{"dbss": fetchDBSS}

const (
	// Partner clouds only have this path of the quota API.
	dbssPartnerPath = "/v1/{project_id}/dbss/audit/quota"

	dbssListAction = "dbss:auditInstance:list"

	dbssPageSize = 1000 // the documented maximum
	dbssMaxPages = 50   // of a list without a total; more indicate another error
)

// fetchDBSS fetches the remaining amounts and, with the option list_instances, the number of audit instances (GET
// /v2/{project_id}/audit/instances, "Query the audit instance list"). That is the usage of audit_instance, and with the remaining
// amount it gives the limit.
func fetchDBSS(ctx context.Context, c *huaweicloud.Client, s Service, options map[string]bool) (Result, error) {
	answer, err := dbssQuota(ctx, c, s.API)
	if err != nil {
		return Result{}, err
	}
	result, err := s.API.Decode(answer)
	i := slices.IndexFunc(result.Quotas, func(q Quota) bool { return q.ResourceType == "audit_instance" })
	if err != nil || i < 0 || !options["list_instances"] {
		return result, err
	}
	used, skipped, err := dbssInstances(ctx, c)
	if reason := huaweicloud.Reason(err); reason == huaweicloud.ReasonForbidden || reason == huaweicloud.ReasonNotFound {
		result.Incomplete = fmt.Errorf("used and limit of audit_instance are unknown: %w", err)
		return result, nil
	}
	if err != nil {
		return Result{}, err
	}
	for range skipped {
		result.Skipped.Add(errNoInstance)
	}
	audit := &result.Quotas[i]
	limit := used + *audit.Remaining
	audit.Used, audit.Limit = &used, &limit
	return result, nil
}

// dbssQuota requests the quota API, with another path on partner clouds.
func dbssQuota(ctx context.Context, c *huaweicloud.Client, a *API) (*huaweicloud.Answer, error) {
	answer, err := a.get(ctx, c)
	if err == nil || c.QuotaPath != "" || huaweicloud.Reason(err) != huaweicloud.ReasonNotFound {
		return answer, err
	}
	partner, errPartner := c.Get(ctx, dbssPartnerPath)
	if huaweicloud.Reason(errPartner) == huaweicloud.ReasonNotFound {
		return nil, err
	}
	return partner, errPartner
}

var errNoInstance = errors.New("an element of the list of audit instances is not an instance")

// dbssInstances counts the audit instances. The list is called "instances" or, in older documents, "servers". If the response has no
// total, invalid elements are skipped.
func dbssInstances(ctx context.Context, c *huaweicloud.Client) (used float64, skipped int, err error) {
	list := *c
	list.Action = dbssListAction
	var answer *huaweicloud.Answer
	count := 0
	for page := range dbssMaxPages {
		answer, err = list.Get(ctx, fmt.Sprintf("/v2/{project_id}/audit/instances?offset=%d&limit=%d", page*dbssPageSize, dbssPageSize))
		if err != nil {
			return 0, 0, err
		}
		body, err := parse(answer.Body)
		if err != nil {
			return 0, 0, answer.Malformed(err.Error())
		}
		members := body.object(nil)
		instances, servers := members.at("instances"), members.at("servers")
		onPage, bad := countInstances(instances, servers)
		count, skipped = count+onPage, skipped+bad
		total, err := members.at("total").number()
		switch {
		case err != nil:
			return 0, 0, answer.Malformed("total " + err.Error())
		case total != nil && *total < 0:
			return 0, 0, answer.Malformed(fmt.Sprintf("total is %g, expected 0 or more", *total))
		case total != nil && *total < float64(count):
			return 0, 0, answer.Malformed(fmt.Sprintf("total is %g, but %d audit instances are listed", *total, count))
		case total != nil:
			return *total, 0, nil
		case !instances.isList() && !servers.isList():
			return 0, 0, answer.Malformed("it has no list of audit instances")
		case onPage < dbssPageSize:
			return float64(count - skipped), skipped, nil
		}
	}
	return 0, 0, answer.Malformed(fmt.Sprintf("the list of audit instances has more than %d elements", count))
}

// countInstances returns the number of elements in lists, and how many of them are not instances.
func countInstances(lists ...value) (all, bad int) {
	for _, list := range lists {
		if !list.isList() {
			continue
		}
		for _, instance := range list.each {
			if all++; !instance.isObject() {
				bad++
			}
		}
	}
	return all, bad
}
