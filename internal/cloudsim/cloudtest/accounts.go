package cloudtest

import (
	"net/http"

	"cloud_quota_exporter/internal/cloudsim"
)

// SetDomains sets which accounts IAM's GET /v3/auth/domains shows to callers of an account, by name; there may be none. By default, callers see
// their own account. SetDomains panics if there is no such account.
func (c *Cloud) SetDomains(account string, shown ...string) {
	c.account(account)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.domains[account] = shown
}

// accountAPIs are those from which callers learn the ID of their account.
func (c *Cloud) accountAPIs() []cloudsim.API {
	iam := func(string) string { return "iam" }
	sts := func(region string) string {
		if !isRegion(region) {
			return ""
		}
		return "sts"
	}
	return []cloudsim.API{
		{Service: "iam", Path: "/v3/auth/domains", Host: iam, Answer: c.listDomains},
		{Service: "sts", Path: "/v5/caller-identity", Host: sts, Answer: c.showCaller},
	}
}

// listDomains handles IAM's GET /v3/auth/domains.
func (c *Cloud) listDomains(q cloudsim.Call) cloudsim.Answer {
	caller, refusal := c.authenticate(q)
	if refusal != nil {
		return *refusal
	}
	c.mu.Lock()
	shown, stated := c.domains[caller]
	c.mu.Unlock()
	if !stated {
		shown = []string{caller}
	}
	rows := []any{}
	for _, name := range shown {
		rows = append(rows, map[string]any{"id": cloudsim.ID(name), "name": name, "enabled": true})
	}
	return cloudsim.Answer{Status: http.StatusOK, Body: cloudsim.JSON(map[string]any{"domains": rows, "links": map[string]any{}})}
}

// showCaller implements STS's GET /v5/caller-identity. It does not accept tokens.
func (c *Cloud) showCaller(q cloudsim.Call) cloudsim.Answer {
	if q.Header.Get("X-Auth-Token") != "" {
		return q.GatewayError(http.StatusUnauthorized, "Incorrect IAM authentication information: the request has no signature")
	}
	caller, refusal := c.authenticate(q)
	if refusal != nil {
		return *refusal
	}
	account := cloudsim.ID(caller)
	return cloudsim.Answer{Status: http.StatusOK, Body: cloudsim.JSON(map[string]string{
		"account_id": account, "principal_id": cloudsim.ID(caller + "/user"), "principal_urn": "iam::" + account + ":user:" + caller,
	})}
}

// SetAccountQuota sets the usage and the limit of a resource of an account-level service, and ends its Move. It panics if the account does not state
// this quota.
func (c *Cloud) SetAccountQuota(account, service, resourceType string, used, limit int64) {
	c.Update(account, func(a *cloudsim.Account) {
		a.Quotas = changed(a.Quotas, "account "+account, service, resourceType, used, limit)
	})
}
