package cloudtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
	"cloud_quota_exporter/providers/examples"
)

const (
	domainsPath = "/v3/auth/domains"
	callerPath  = "/v5/caller-identity"

	ofDomain   = `,"scope":{"domain":{"name":"main"}}`
	mainRow    = `{"id":"` + mainDomain + `","name":"main","enabled":true}`
	otherRow   = `{"id":"` + otherDomain + `","name":"other","enabled":true}`
	regional   = ".ap-southeast-3" + cloud
	epsPath    = "/v1.0/enterprise-projects/quotas"
	dnsPath    = "/v2/quotamg/dns/quotas?domain_id="
	updateBody = `{"error_msg":"The token must be updated.","error_code":"APIGW.0307","request_id":"REQUEST"}`
)

// TestDomains: IAM can show a caller its own account, none, or several.
func TestDomains(t *testing.T) {
	s := serve(t)
	want := func(name string, got simtest.Response, rows ...string) {
		t.Helper()
		got.Want(t, name, http.StatusOK, `{"domains":[`+strings.Join(rows, ",")+`],"links":{}}`)
	}
	const place = "iam" + regional + domainsPath
	want("keys", s.Get(t, mainKeys, place), mainRow)
	want("keys of another account", s.Get(t, otherKeys, place), otherRow)
	agent, _ := issued(t, s.assume(t, mainKeys, "watch", `"domain_name":"other"`), http.StatusCreated)
	want("an agency", s.Get(t, agent, place), otherRow)
	for _, scope := range []string{"", scopeA, ofDomain} {
		want("a token of "+scope, s.bearer(t, s.login(t, iam, scope), place), mainRow)
	}
	s.SetDomains("main")
	want("none", s.Get(t, mainKeys, place))
	s.SetDomains("main", "main", "other")
	want("several", s.Get(t, mainKeys, place), mainRow, otherRow)
	want("only for main", s.Get(t, otherKeys, place), otherRow)
	s.Send(t, http.MethodGet, place, "").WantRefused(t, "no credentials", "x-auth-token not found")
	s.Get(t, mainKeys, "dns"+regional+domainsPath).Want(t, "at the host of DNS", http.StatusNotFound, "")
	s.Inject(cloudtest.Fault{Service: "iam", Path: domainsPath, Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
	s.Get(t, mainKeys, place).Want(t, "refused", http.StatusForbidden, `{"error":{"code":403,"message":"no","title":"Forbidden"}}`)
	s.Get(t, mainKeys, iam+"/v3/projects").Want(t, "projects", http.StatusOK, "")
	simtest.WantPanic(t, "SetDomains of an unknown account", func() { s.SetDomains("unknown") })
}

// TestCallerIdentity: STS returns the account of permanent or temporary keys. It rejects tokens.
func TestCallerIdentity(t *testing.T) {
	s := serve(t)
	const place = "sts" + regional + callerPath
	identity := func(domain, user, account string) string {
		return fmt.Sprintf(`{"account_id":%q,"principal_id":%q,"principal_urn":"iam::%s:user:%s"}`, domain, user, domain, account)
	}
	s.Get(t, mainKeys, place).Want(t, "keys", http.StatusOK, identity(mainDomain, cloudsim.ID("main/user"), "main"))
	agent, _ := issued(t, s.assume(t, mainKeys, "watch", `"domain_name":"other"`), http.StatusCreated)
	s.Get(t, agent, place).Want(t, "an agency", http.StatusOK, identity(otherDomain, cloudsim.ID("other/user"), "other"))
	for _, scope := range []string{scopeA, ofDomain} {
		s.bearer(t, s.login(t, iam, scope), place).WantRefused(t, "a token of "+scope, "the request has no signature")
	}
	s.Send(t, http.MethodGet, place, "").WantRefused(t, "no credentials", "x-auth-token not found")
	s.Get(t, simtest.Keys{Access: "MAINAK", Secret: "x"}, place).WantRefused(t, "wrong keys", "verify aksk signature fail")
	for place, status := range map[string]int{"sts" + cloud + callerPath: 404, "iam" + regional + callerPath: 404, "sts.eu-de.partner.example" + callerPath: 200} {
		s.Get(t, mainKeys, place).Want(t, place, status, "")
	}
}

// TestTokensOfAccounts: account-level APIs only accept tokens of the account, project-level APIs only those of the project.
func TestTokensOfAccounts(t *testing.T) {
	s := serve(t)
	const eps, dns = "eps" + cloud + epsPath, "dns" + cloud + dnsPath + mainDomain
	const quotas, images = "iam" + regional + "/v3.0/OS-QUOTA/domains/" + mainDomain, "ims" + regional + "/v1/cloudimages/quota"
	for _, test := range []struct {
		name, scope, place string
		status             int
	}{
		{"the account", ofDomain, eps, 200},
		{"the account, needs a project", ofDomain, dns, 200},
		{"the account, IAM", ofDomain, quotas, 200},
		{"another account", ofDomain, "ga" + cloud + "/v1/" + otherDomain + "/ga/quotas", 403},
		{"a project", scopeA, eps, 401},
		{"a project, needs a project", scopeA, dns, 401},
		{"a project, IAM", scopeA, quotas, 401},
		{"no scope", "", eps, 401},
		{"the account, project-level", ofDomain, quotaOfA, 401},
		{"the account, project in the header", ofDomain, images, 401},
		{"a project, project in the header", scopeA, images, 200},
	} {
		got := s.Send(t, http.MethodGet, test.place, "", "X-Auth-Token", s.login(t, "iam"+regional, test.scope), "X-Project-Id", idA)
		body := map[int]string{http.StatusUnauthorized: updateBody, http.StatusForbidden: string(cloudsim.ErrorBody("ga", 403, "Authorization failed."))}[test.status]
		got.Want(t, test.name, test.status, body)
	}
}

// TestHostsOfAccountLevelServices: the services of the catalogue are at the hosts of their sites.
func TestHostsOfAccountLevelServices(t *testing.T) {
	s := serve(t)
	const eu = ".eu-west-101.myhuaweicloud.eu"
	for service, path := range map[string]string{
		"iam": "/v3.0/OS-QUOTA/domains/" + mainDomain, "dns": dnsPath + mainDomain, "ccm": "/v1/private-certificate-authorities/quotas", "cc": "/v3/" + mainDomain + "/gcn/quotas",
		"cdn": "/v1.0/cdn/quota", "tms": "/v1.0/tms/quotas", "iecs": "/v1/edgeclouds/quotas", "ies": "/v1/" + mainDomain + "/quotas",
	} {
		hosts := map[string]bool{ // most services have one host for the China and the international site
			cloud: true, ".cn-north-4" + cloud: false, regional: false, ".ap-southeast-1" + cloud: false, eu: true,
			".ru-moscow-1" + cloud: true, ".my-kualalumpur-1" + cloud: true, ".eu-de.partner.example": true,
		}
		switch service {
		case "iam":
			hosts = map[string]bool{cloud: false, ".cn-north-4" + cloud: true, regional: true, eu: true}
		case "dns":
			hosts[".cn-north-4"+cloud], hosts[regional], hosts[".ap-southeast-1"+cloud] = true, true, true
		case "ccm":
			hosts[cloud], hosts[regional], hosts[".cn-north-4"+cloud] = false, true, true
		case "tms":
			hosts[".ap-southeast-1"+cloud] = true
		case "cdn":
			hosts[".myhuaweicloud.eu"], hosts[eu] = true, false
		}
		for host, isThere := range hosts {
			got := s.Get(t, mainKeys, service+host+path, "X-Domain-Id", mainDomain, "X-Project-Id", idA)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[isThere]; got.Status != want || !isThere && !strings.Contains(got.Body, "APIGW.0101") {
				t.Errorf("%s%s: status %d, body %s, want %d", service, host, got.Status, got.Body, want)
			}
		}
		s.Get(t, mainKeys, "cts"+regional+path, "X-Domain-Id", mainDomain).Want(t, "at another host", http.StatusNotFound, "")
	}
}

// TestAccountsQuotas: examples, configured quotas, faults of one account, and counters.
func TestAccountsQuotas(t *testing.T) {
	s := serve(t)
	ask := func(k simtest.Keys, domain string) simtest.Response {
		return s.Get(t, k, "eps"+cloud+epsPath, "X-Domain-Id", domain)
	}
	ask(mainKeys, mainDomain).Want(t, "example", http.StatusOK, string(examples.Of("eps")))
	s.Update("main", func(a *cloudsim.Account) {
		a.Quotas = map[string][]cloudsim.Quota{"eps": {{Type: "enterprise_project", Used: 99, Limit: 100}}}
	})
	s.SetAccountQuota("main", "eps", "enterprise_project", 97, 100)
	ask(mainKeys, mainDomain).Want(t, "stated", http.StatusOK, `{"quotas":{"resources":[{"type":"enterprise_project","used":97,"quota":100}]}}`)
	s.Inject(cloudtest.Fault{Service: "eps", DomainID: otherDomain, Path: epsPath, Status: http.StatusForbidden})
	ask(mainKeys, mainDomain).Want(t, "no fault", http.StatusOK, "")
	ask(otherKeys, otherDomain).Want(t, "a fault of the other account", http.StatusForbidden, "")
	s.Get(t, mainKeys, "ucs"+cloud+"/v1/maintenance/quota/"+mainDomain).Want(t, "made", http.StatusOK, "")
	if got := s.ProjectRequests(mainDomain); got["eps"] != 3 || got["ucs"] != 1 || s.ProjectRequests(otherDomain)["eps"] != 1 || s.Requests()["GET /v1/maintenance/quota/{domain_id}"] != 1 {
		t.Errorf("requests for main: %v, of all: %v", got, s.Requests())
	}
}
