package cloudsim_test

import (
	"net/http"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
)

// newSharing publishes one path at three hosts, of which the one of "dds" has another label in eu-de.
func newSharing() *cloudsim.Cloud {
	inRegion := func(region string) string {
		if region == "eu-de" {
			return "mongodb"
		}
		return "dds"
	}
	var apis []cloudsim.API
	for name, host := range map[string]func(string) string{"rds": at("rds"), "dds": inRegion} {
		apis = append(apis, cloudsim.API{
			Service: name, Path: "/v3/{project_id}/quotas", Host: host, Action: name + ":quota:list", Example: []byte(`"` + name + `"`),
		})
	}
	first := cloudsim.API{Service: "first", Path: "/v3/{project_id}/quotas", Host: at("first"), Example: []byte(`"first"`)}
	return cloudsim.New(append([]cloudsim.API{first}, apis...),
		cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret", Projects: []cloudsim.Project{
			{ID: idA, Name: "ap-southeast-3"}, {ID: idB, Name: "eu-de"},
		}},
	)
}

func TestOnePathAtManyHosts(t *testing.T) {
	client := dial(t, newSharing())
	const path, inGermany = "/v3/" + idA + "/quotas", "/v3/" + idB + "/quotas"
	for place, want := range map[string]string{
		"rds.ap-southeast-3" + cloud + path:          `"rds"`,
		"dds.ap-southeast-3" + cloud + path:          `"dds"`,
		"dds.ap-southeast-3.partner.example" + path:  `"dds"`,
		"mongodb.eu-de" + cloud + inGermany:          `"dds"`,
		"localhost" + path:                           `"first"`,
		"127.0.0.1:8080" + path:                      `"first"`,
		"gateway.example.com" + path:                 `"first"`,
		"127.0.0.1:8080/rds" + path:                  `"rds"`,
		"127.0.0.1:8080/dds" + path:                  `"dds"`,
		"gateway.example.com/dds" + path:             `"dds"`,
		"127.0.0.1:8080/mongodb" + inGermany:         `"dds"`, // its label there
		"127.0.0.1:8080/mongodb" + path:              "",
		"rds.ap-southeast-3" + cloud + "/dds" + path: `"dds"`,
		"[::1]:8080/first" + path:                    `"first"`,
		"mongodb.ap-southeast-3" + cloud + path:      "", // its label in another region
		"dds.eu-de" + cloud + inGermany:              "",
		"other.ap-southeast-3" + cloud + path:        "", // the cloud's own name, of no service
		"iam.ap-southeast-3" + cloud + path:          "",
		"rds.eu-de" + cloud + path:                   "", // the project is elsewhere
		"localhost/other" + path:                     "",
		"localhost/rds/v3/" + idA + "/quotas/" + idA: "",
		"localhost/rds":                              "",
		"localhost/rds/":                             "",
		"localhost/rds/rds" + path:                   "",
	} {
		got := mainKeys.get(t, client, place)
		if want == "" && got.status != http.StatusNotFound || want != "" && got.body != want {
			t.Errorf("%s: status %d, body %s, want %s or 404", place, got.status, got.body, want)
		}
	}
	if got := do(t, client, newRequest(t, http.MethodPost, "http://rds.ap-southeast-3"+cloud+path, "")); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST to the host of an API: status %d, want 405", got.status)
	}
	if got := mainKeys.get(t, client, "localhost/iam/v3/projects"); got.status != http.StatusOK {
		t.Errorf("IAM behind a prefix: status %d", got.status)
	}
}

func TestOnePathByMethods(t *testing.T) {
	client := dial(t, newShaped(cloudsim.API{Service: "more", Path: "/v3/auth/tokens", Host: at("iam"), Example: []byte(`"more"`)}))
	if got := mainKeys.getFor(t, client, idA, "iam.ap-southeast-3"+cloud+"/v3/auth/tokens"); got.body != `"more"` {
		t.Errorf("GET: status %d, body %s", got.status, got.body)
	}
	for method, want := range map[string]int{http.MethodPost: http.StatusBadRequest, http.MethodPut: http.StatusMethodNotAllowed} {
		if got := do(t, client, newRequest(t, method, "http://localhost/v3/auth/tokens", "{}")); got.status != want {
			t.Errorf("%s: status %d, want %d", method, got.status, want)
		}
	}
}

func TestCountersOfOnePathAtManyHosts(t *testing.T) {
	c := newSharing()
	client := dial(t, c)
	c.Inject(cloudsim.Fault{Service: "dds", Status: http.StatusTeapot})
	for place, want := range map[string]int{
		"dds.ap-southeast-3" + cloud: http.StatusTeapot, "localhost/dds": http.StatusTeapot, "rds.ap-southeast-3" + cloud: http.StatusOK,
	} {
		if got := mainKeys.get(t, client, place+"/v3/"+idA+"/quotas"); got.status != want {
			t.Errorf("%s: status %d, want %d", place, got.status, want)
		}
	}
	if got := c.Requests(); len(got) != 1 || got["GET /v3/{project_id}/quotas"] != 3 {
		t.Errorf("requests %v, want 3 of the documented path", got)
	}
	if got := c.ProjectRequests(idA); got["dds"] != 2 || got["rds"] != 1 {
		t.Errorf("requests for the project %v, want 2 of dds and 1 of rds", got)
	}
}

func TestProjectTwiceInThePath(t *testing.T) {
	client := dial(t, newShaped())
	for path, want := range map[string]int{
		"/v2/" + idA + "/os-quota-sets/" + idA: http.StatusOK, "/v2/" + idA + "/os-quota-sets/p": http.StatusNotFound,
		"/v2/" + idA + "/os-quota-sets/": http.StatusNotFound, "/v2/nobody/os-quota-sets/nobody": http.StatusForbidden,
	} {
		if got := mainKeys.get(t, client, "localhost"+path); got.status != want {
			t.Errorf("%s: status %d, want %d", path, got.status, want)
		}
	}
}

func TestProjectInTheHeader(t *testing.T) {
	c := newShaped()
	client := dial(t, c)
	for id, want := range map[string]int{idA: http.StatusOK, "nobody": http.StatusForbidden, "": http.StatusForbidden} {
		got := mainKeys.getFor(t, client, id, "localhost/header/v1/header/quota")
		if got.status != want {
			t.Errorf("X-Project-Id %q: status %d, want %d", id, got.status, want)
		}
	}
	wantJSON(t, mainKeys.getFor(t, client, "nobody", "localhost/v1/header/quota").body,
		string(cloudsim.ErrorBody("header", http.StatusForbidden, "Authorization failed.")))
	if got := mainKeys.getFor(t, client, idA, "header.eu-de"+cloud+"/v1/header/quota"); got.status != http.StatusNotFound {
		t.Errorf("in another region: status %d, want 404", got.status)
	}
	if got := c.ProjectRequests(idA)["header"]; got != 2 {
		t.Errorf("%d requests for the project, want 2", got)
	}
}

// TestExtrasOfDBSS: they are there if DBSS is, at its host.
func TestExtrasOfDBSS(t *testing.T) {
	with, without := dial(t, newCloud()), dial(t, newShaped())
	for _, path := range []string{"/v1/" + idA + "/dbss/audit/quota", "/v2/" + idA + "/audit/instances"} {
		for place, want := range map[string]int{
			"localhost": http.StatusOK, "localhost/dbss": http.StatusOK, "dbss.ap-southeast-3" + cloud: http.StatusOK,
			"dcs.ap-southeast-3" + cloud: http.StatusNotFound,
		} {
			if got := mainKeys.get(t, with, place+path); got.status != want {
				t.Errorf("%s%s: status %d, want %d", place, path, got.status, want)
			}
		}
		if got := mainKeys.get(t, without, "localhost"+path); got.status != http.StatusNotFound {
			t.Errorf("%s without DBSS: status %d, want 404", path, got.status)
		}
	}
}
