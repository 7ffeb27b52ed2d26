package cloudsim_test

import (
	"net/http"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

// The IDs of the accounts main and other.
const mainDomain, otherDomain = "0d6e4079e36703ebd37c00722f5891d2", "d9298a10d1b0735837dc4bd85dac641b"

// accountLevel are account-level APIs, and a project-level one with the same path as one of them. The account main has configured quotas of zones.
func accountLevel() *cloudtest.Cloud {
	at := func(label string) func(string) string { return func(string) string { return label } }
	shape := cloudsim.Shape{List: "quotas", Type: "{quota_key}", Used: "used", Limit: "quota_limit"}
	return cloudtest.Wrap(cloudsim.New(
		[]cloudsim.API{
			{Service: "project", Path: "/v1/{project_id}/quotas", Host: at("project"), Example: []byte(`"project"`)},
			{Service: "path", Path: "/v1/{domain_id}/quotas", Host: at("path"), Account: true, Example: []byte(`"path"`)},
			{Service: "tail", Path: "/v1/quota/{domain_id}", Host: at("tail"), Account: true, Action: "tail:quota:get", Example: []byte(`"tail"`)},
			{Service: "none", Path: "/v1.0/quota", Host: at("none"), Account: true, Example: []byte(`"none"`)},
			{Service: "zones", Path: "/v2/quotas", Host: at("zones"), Account: true, NeedsDomain: true, NeedsProject: true, Shape: shape, Example: []byte(`"zones"`)},
			{Service: "whole", Path: "/v2/whole", Host: at("whole"), Account: true, Example: []byte(`"whole"`), At: func(host string) bool { return host == "whole.myhuaweicloud.com" }},
		},
		cloudsim.Account{
			Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{{ID: idA, Name: "ap-southeast-3"}, {ID: idB, Name: "eu-de"}},
			Quotas: map[string][]cloudsim.Quota{"zones": {{Type: "zone", Used: 3, Limit: 50}}},
		},
		cloudsim.Account{Name: "other", AccessKey: "OTHERAK", SecretKey: "other-secret", Projects: []cloudsim.Project{{ID: other, Name: "eu-de_x"}}},
	))
}

// TestAccountLevel: hosts with and without a region, and rejected requests.
func TestAccountLevel(t *testing.T) {
	client := simtest.Serve(t, accountLevel())
	const zones, south = "zones" + cloud + "/v2/quotas", ".ap-southeast-3" + cloud
	denied := func(service string) string { return string(cloudsim.ErrorBody(service, 403, "Authorization failed.")) }
	for name, tc := range map[string]struct {
		keys            simtest.Keys
		place           string
		domain, project string // headers
		status          int
		body            string
	}{
		"in the path":                      {mainKeys, "path" + cloud + "/v1/" + mainDomain + "/quotas", mainDomain, idA, 200, `"path"`},
		"only in the path":                 {mainKeys, "path" + cloud + "/v1/" + mainDomain + "/quotas", "", "", 200, `"path"`},
		"at a regional host":               {mainKeys, "path" + south + "/v1/" + mainDomain + "/quotas", mainDomain, idB, 200, `"path"`},
		"at a host of another domain":      {mainKeys, "path.eu-west-101.myhuaweicloud.eu/v1/" + mainDomain + "/quotas", mainDomain, "", 200, `"path"`},
		"at the host of another service":   {mainKeys, "none" + cloud + "/v1/" + mainDomain + "/quotas", mainDomain, "", 404, unpublished},
		"at the host of no service":        {mainKeys, "unknown.eu-west-101.myhuaweicloud.eu/v1/" + mainDomain + "/quotas", mainDomain, "", 404, unpublished},
		"no account in the path":           {mainKeys, "path" + cloud + "/v1//quotas", mainDomain, "", 404, unpublished},
		"at the end of the path":           {mainKeys, "tail" + cloud + "/v1/quota/" + mainDomain, mainDomain, "", 200, `"tail"`},
		"another account in the path":      {mainKeys, "path" + cloud + "/v1/" + otherDomain + "/quotas", otherDomain, "", 403, ""},
		"another account, with the action": {mainKeys, "tail" + cloud + "/v1/quota/" + otherDomain, "", "", 403, ""},
		"another account in the header":    {mainKeys, "path" + cloud + "/v1/" + mainDomain + "/quotas", otherDomain, "", 403, ""},
		"a project in the path":            {mainKeys, "path" + cloud + "/v1/" + idA + "/quotas", mainDomain, idA, 403, ""},
		"in the header":                    {otherKeys, "none" + cloud + "/v1.0/quota", otherDomain, "", 200, `"none"`},
		"in the header, of another":        {otherKeys, "none" + cloud + "/v1.0/quota", mainDomain, "", 403, denied("none")},
		"nowhere":                          {otherKeys, "none" + cloud + "/v1.0/quota", "", other, 403, denied("none")},
		"at its whole host":                {mainKeys, "whole" + cloud + "/v2/whole", mainDomain, "", 200, `"whole"`},
		"not at its whole host":            {mainKeys, "whole" + south + "/v2/whole", mainDomain, "", 404, unpublished},
		"stated quotas":                    {mainKeys, zones + "?domain_id=" + mainDomain, mainDomain, idB, 200, `{"quotas":[{"quota_key":"zone","used":3,"quota_limit":50}]}`},
		"an example":                       {otherKeys, zones + "?domain_id=" + otherDomain, otherDomain, other, 200, `"zones"`},
		"no account in the query":          {mainKeys, zones, mainDomain, idA, 401, ""},
		"another account in the query":     {mainKeys, zones + "?domain_id=" + otherDomain, mainDomain, idA, 401, ""},
		"no project":                       {mainKeys, zones + "?domain_id=" + mainDomain, mainDomain, "", 401, ""},
		"a project of another account":     {mainKeys, zones + "?domain_id=" + mainDomain, mainDomain, other, 401, ""},
		"header of another account":        {mainKeys, zones + "?domain_id=" + mainDomain, otherDomain, idA, 403, denied("zones")},
		// Without host names, X-Domain-Id distinguishes two APIs with the same path.
		"no host names": {mainKeys, "127.0.0.1:8080/v1/" + mainDomain + "/quotas", mainDomain, idA, 200, `"path"`},
		"of a project":  {mainKeys, "127.0.0.1:8080/v1/" + idA + "/quotas", "", idA, 200, `"project"`},
	} {
		var headers []string
		for header, value := range map[string]string{"X-Domain-Id": tc.domain, "X-Project-Id": tc.project} {
			if value != "" {
				headers = append(headers, header, value)
			}
		}
		got := client.Get(t, tc.keys, tc.place, headers...)
		got.Want(t, name, tc.status, tc.body)
		if tc.status == http.StatusUnauthorized && !strings.Contains(got.Body, `"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: `) {
			t.Errorf("%s: body %s, want that of the gateway", name, got.Body)
		}
	}
	client.Get(t, mainKeys, "tail"+cloud+"/v1/quota/"+otherDomain).Want(t, "action", 403, string(cloudsim.ErrorBody("tail", 403, "Policy doesn't allow [tail:quota:get] to be performed")))
	client.Send(t, http.MethodGet, "none"+cloud+"/v1.0/quota", "", "X-Domain-Id", mainDomain).WantRefused(t, "no credentials", "x-auth-token not found")
}

// TestQuotasOfAccounts: only account-level APIs return the quotas of accounts, and only project-level APIs those of projects.
func TestQuotasOfAccounts(t *testing.T) {
	c := accountLevel()
	client := simtest.Serve(t, c)
	quotas := func(service string) map[string][]cloudsim.Quota {
		return map[string][]cloudsim.Quota{service: {{Type: "x", Used: 1, Limit: 2}}}
	}
	simtest.WantPanic(t, "an account's quotas of a project-level service", func() { c.Update("main", func(a *cloudsim.Account) { a.Quotas = quotas("project") }) })
	simtest.WantPanic(t, "a project's quotas of an account-level service", func() {
		c.Update("main", func(a *cloudsim.Account) { a.Projects[0].Quotas = quotas("zones") })
	})
	simtest.WantPanic(t, "quotas of IAM's other APIs", func() { c.Update("main", func(a *cloudsim.Account) { a.Quotas = quotas("iam") }) })
	simtest.WantPanic(t, "a quota that is not stated", func() { c.SetAccountQuota("main", "zones", "x", 1, 2) })
	c.SetAccountQuota("main", "zones", "zone", 49, 60)
	ask := func(keys simtest.Keys, domain, project, want string) {
		t.Helper()
		client.Get(t, keys, "zones"+cloud+"/v2/quotas?domain_id="+domain, "X-Domain-Id", domain, "X-Project-Id", project).Want(t, domain, 200, want)
	}
	ask(mainKeys, mainDomain, idA, `{"quotas":[{"quota_key":"zone","used":49,"quota_limit":60}]}`)
	c.Update("other", func(a *cloudsim.Account) { a.Quotas = quotas("zones") })
	ask(otherKeys, otherDomain, other, `{"quotas":[{"quota_key":"x","used":1,"quota_limit":2}]}`)
	c.Update("main", func(a *cloudsim.Account) { a.Quotas = nil })
	ask(mainKeys, mainDomain, idA, `"zones"`)
}
