package command_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/democloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/providers"
)

// myTrackers is an API of the user's own. The simulated cloud serves it, because it is that of CTS.
const myTrackers = `
  my_trackers: {api: {host: cts, path: "/v3/{project_id}/quotas", list: resources, action: {identity: "cts:quota:get", role: "cts::get"}}}
`

// showServices is the output of services on a terminal of some width; 0: in a pipe.
func showServices(t *testing.T, width int, output, config string) string {
	t.Helper()
	var stdout bytes.Buffer
	terminal := command.Terminal{Out: &stdout, Err: &stdout, Width: width}
	if err := (command.Services{Output: output}).Run(t.Context(), terminal, config); err != nil {
		t.Fatal(err)
	}
	return stdout.String()
}

// compared is the text of a table without the lines about other services, and without the padding that depends on them.
func compared(text string, services ...string) string {
	var lines []string
	shown := false
	for line := range strings.SplitSeq(text, "\n") {
		if name, _, _ := strings.Cut(line, " "); name != "" {
			shown = slices.Contains(services, name) || regexp.MustCompile(`^[A-Z(]|:$`).MatchString(name)
		}
		if shown {
			lines = append(lines, regexp.MustCompile(`([^ ])  +`).ReplaceAllString(line, "$1  "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestServices(t *testing.T) {
	some := []string{"cts", "taurusdb", "dbss", "ecs", "evs", "rds", "nat", "dsc", "dns", "ccm", "ucs", "my_trackers", "my_api"}
	config := write(t, "config.yml", allProjects(cloudtest.Scale(1), "SK", "{}")+"services:\n  ces: {enabled: false}\n  ecs: {enabled: true}\n"+
		myTrackers+"  my_api: {enabled: false, api: {host: {default: quotas.example.com, eu-de: \"q.{region}.example.com\"}, path: /v1/quotas}}\n")
	golden(t, "services", compared(showServices(t, 0, "table", ""), some...))
	golden(t, "services-terminal", compared(showServices(t, 120, "table", ""), some...))
	golden(t, "services-config", compared(showServices(t, 0, "table", config), append(some, "ces")...))
	for _, file := range []string{"", config} {
		text := showServices(t, 0, "table", file)
		for _, s := range providers.All() {
			if n := strings.Count("\n"+text, "\n"+s.Name+" "); n != 1 {
				t.Errorf("%d lines are about %s", n, s.Name)
			}
		}
		for line := range strings.SplitSeq(showServices(t, 120, "table", file), "\n") {
			if n := printable.Width(line); n > 120 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
	if err := (command.Services{}).Run(t.Context(), command.Terminal{}, write(t, "config.yml", "services: {cst: {}}\n")); err == nil || !strings.Contains(err.Error(), "services.cst: unknown key") {
		t.Errorf("got %v", err)
	}
}

// TestServicesJSON: the keys are stable, and every service has the data of the catalogue.
func TestServicesJSON(t *testing.T) {
	config := write(t, "config.yml", allProjects(cloudtest.Scale(1), "SK", "{}")+"services:"+myTrackers)
	for _, file := range []string{"", config} {
		var got struct{ Services []map[string]any }
		if err := json.Unmarshal([]byte(showServices(t, 0, "json", file)), &got); err != nil {
			t.Fatal(err)
		}
		byName := map[string]map[string]any{}
		for _, s := range got.Services {
			byName[fmt.Sprint(s["name"])] = s
		}
		for _, s := range providers.All() {
			j := byName[s.Name]
			want := map[string]any{
				"name": s.Name, "product": s.Product, "title": s.Title, "level": s.API.Level(), "default": s.Enabled, "enabled": s.Enabled, "method": "GET",
				"path": s.API.Path, "evidence": s.Evidence, "verified": s.IsVerified(), "inferred": s.Inferred, "notes": s.Notes, "overlap": s.Overlap,
			}
			if file == "" {
				want["enabled"] = nil
			}
			for key, value := range want {
				if j[key] != value {
					t.Errorf("%s: %s is %v, want %v", s.Name, key, j[key], value)
				}
			}
		}
		if file == "" {
			continue
		}
		text, err := json.MarshalIndent([]any{byName["taurusdb"], byName["dbss"], byName["my_trackers"]}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "services-json", string(text)+"\n")
		for name, want := range map[string]string{
			"ecs": "[instances cores ram key_pairs server_groups spot_instances spot_cores spot_ram] [map[types:ram unit:MB] map[types:spot_ram unit:MB]] -1",
			"evs": "<nil> [map[types:(backup_)?gigabytes.* unit:GiB]] -1", "cbh": "[instance] [] <nil>",
		} {
			if got := fmt.Sprint(byName[name]["resource_types"], byName[name]["units"], byName[name]["no_limit"]); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
}

// TestOwnAndCatalogueServices: query and check-config fetch exactly the enabled services.
func TestOwnAndCatalogueServices(t *testing.T) {
	p := newPeople(t, 1)
	off := p.config(t, democloud.SecretKey, "")
	on := p.config(t, democloud.SecretKey, "services:\n  ecs: {enabled: true}\n  dcs: {enabled: false}\n"+myTrackers)
	golden(t, "query-services", query(t, on, command.Query{Services: []string{"ecs", "my_trackers"}}))
	for _, tc := range []struct{ config, service, says string }{
		{off, "ecs", "--service=\"ecs\" is disabled; set services.ecs.enabled to true in the configuration\n"},
		{on, "dcs", "--service=\"dcs\" is disabled; set services.dcs.enabled to true in the configuration\n"},
		{off, "my_trackers", `unknown --service="my_trackers"; known: cts, ces, taurusdb, dcs, dbss; to list all services, run: cloud_quota_exporter services`},
	} {
		named := []string{"cts", tc.service}
		contains(t, query(t, tc.config, command.Query{Services: named}), "--- stderr\ncloud_quota_exporter: "+tc.says)
		got := transcriptOf(func(terminal command.Terminal) error {
			return command.Check{Once: command.Once{Timeout: time.Hour}, Online: true, Services: named}.Run(t.Context(), terminal, tc.config)
		})
		if !strings.HasPrefix(got, "--- stderr\ncloud_quota_exporter: "+tc.says) {
			t.Errorf("check-config: %s", got)
		}
	}
	t.Setenv("HW_REGION_NAME", "ap-southeast-1")
	contains(t, query(t, "", command.Query{Services: []string{"ecs"}}), "--service=\"ecs\" is disabled; add services: {ecs: {enabled: true}} to a file, and pass it with --config.file")
}

// TestCheckConfigOfAPart sends only the selected requests.
func TestCheckConfigOfAPart(t *testing.T) {
	p := newPeople(t, 3)
	config := p.config(t, democloud.SecretKey, "services: {ecs: {enabled: true}}\nlimits: [{service: ces, limit: 5}, {service: rds, limit: 5}]\n")
	part := command.Check{Once: command.Once{Timeout: time.Hour}, Online: true, Services: []string{"ecs", "cts"}, Projects: []string{p.cloud.Projects()[1].Name, p.cloud.Projects()[2].Name}}
	run := func(check command.Check) string {
		return transcriptOf(func(terminal command.Terminal) error { return check.Run(t.Context(), terminal, config) })
	}
	golden(t, "check-part", run(part))
	if got := p.cloud.Requests(); got["GET /v3/{project_id}/quotas"] != 2 || got["GET /v1/{project_id}/cloudservers/limits"] != 2 || len(got) != 2 {
		t.Errorf("requests %v", got)
	}
	part.Projects = []string{"prod"}
	contains(t, run(part), `cloud_quota_exporter: unknown --project="prod"; known: `, "exit code 1")
	part.Online = false
	contains(t, run(part), "--- stderr\ncloud_quota_exporter: --service and --project have no effect without --online; add --online\n--- exit code 1")
}

// TestCheckConfigOfAllServices fits on a terminal, shows what each service needs, and the missing action of a 403.
func TestCheckConfigOfAllServices(t *testing.T) {
	inBubble(t, cloudtest.Scale(3), "services: {defaults: {enabled: true}}\n", func(t *testing.T, n *network) {
		for _, service := range []string{"rds", "dws", "evs", "nat", "dbss"} {
			n.Inject(cloudtest.Fault{Service: service, Status: http.StatusForbidden, Body: cloudsim.ErrorBody(service, 403, "no")})
		}
		var stdout bytes.Buffer
		terminal := command.Terminal{Out: &stdout, Err: &stdout, Width: 120}
		_ = command.Check{Once: n.once(0), Online: true}.Run(t.Context(), terminal, n.config)
		text := stdout.String()
		for line := range strings.SplitSeq(text, "\n") {
			if n := printable.Width(line); n > 120 && !strings.HasPrefix(line, "  GET ") && !strings.HasPrefix(line, "  -> ") && !strings.Contains(line, " in ap-") && !strings.Contains(line, "is valid. ") {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		for _, s := range providers.All() {
			row := regexp.MustCompile(`(?m)^` + s.Name + ` .*(\n  .*)*`).FindString(text)
			if a := s.API.Action; !strings.Contains(row, cmp.Or(a.Identity, a.Role, "not documented: role Tenant Guest")) || !strings.Contains(row, a.Role) {
				t.Errorf("%s needs %+v: %s", s.Name, a, row)
			}
			if s.IsVerified() == strings.Contains(row, "unverified: "+s.Evidence) {
				t.Errorf("%s is verified: %t: %s", s.Name, s.IsVerified(), row)
			}
			if n := strings.Count(text, "\n  "+s.Name+" "); n != 1 && s.Name != "taurusdb" {
				t.Errorf("%d endpoints of %s", n, s.Name)
			}
			if n := len(regexp.MustCompile(` `+strings.ToUpper(s.Name)+`\b`).FindAllString(text, -1)); n != 1 && s.Name != "dbss" && s.Name != "iam" { // also occur in other texts
				t.Errorf("%d columns of %s", n, s.Name)
			}
		}
		contains(t, text, ", services: cts, ces, taurusdb, dcs, dbss, ecs, evs, vpc, elb, rds and ",
			"grant the IAM action dws:service:listQuotas (with identity policies), and check",
			"grant the IAM action rds:instance:listQuotas (rds:instance:list with role/policy authorization), and check",
			"grant the IAM action evs:quotas:get (with role/policy authorization), and check that the project ID belongs to this account; cloud_quota_exporter policy prints the project-level policy\n", "grant the role Tenant Guest (no IAM action is documented), and check")
	})
}

// TestCheckConfigEndpoints: regions whose URLs have the same form share a line.
func TestCheckConfigEndpoints(t *testing.T) {
	golden(t, "check-regions", check(t, write(t, "config.yml", `accounts:
  - name: main
    credentials: {static: {access_key: AK, secret_key: SK}}
    endpoints: {dcs: {eu-de: "https://dcs.internal"}}
    max_in_flight_per_host: 16
    projects:
      - {id: 0250cb8a80c24c0b9f20f557cb159aad, region: ap-southeast-3, name: p0}
      - {id: 1250cb8a80c24c0b9f20f557cb159aad, region: af-south-1, name: p1}
      - {id: 2250cb8a80c24c0b9f20f557cb159aad, region: eu-de, name: p2}
services: {cts: {enabled: false}, dbss: {enabled: false}, geminidb: {enabled: true}}
`), false))
}

// TestThrottledIsNotChecked: a 429 is not a fault of the configuration. It is shown, and is only a failure if nothing at all was checked.
func TestThrottledIsNotChecked(t *testing.T) {
	tooMany := func(service string) cloudtest.Fault {
		return cloudtest.Fault{Service: service, Status: http.StatusTooManyRequests}
	}
	forbidden := cloudtest.Fault{Service: "ces", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("ces", 403, "no")}
	for _, tc := range []struct {
		name, more string
		faults     []cloudtest.Fault
		says       string
	}{
		{"one service", "", []cloudtest.Fault{tooMany("dcs")}, "\nAll 8 fetches succeeded. Not checked because the cloud throttles the account (429): 2; run the command again later.\n--- stderr\n--- exit code 0\n"},
		{"all", "", []cloudtest.Fault{tooMany("")}, "--- stderr\ncloud_quota_exporter: nothing was checked: the cloud throttles the account (429); run the command again later\n--- exit code 1\n"},
		{"discovery", "    discovery: {}\n", []cloudtest.Fault{tooMany("iam")}, "\nAll 10 fetches succeeded. Not checked because the cloud throttles the account (429): 1; run the command again later.\n--- stderr\n--- exit code 0\n"},
		{"IDs", "      - {region: eu-de}\n", []cloudtest.Fault{tooMany("iam")}, "\nAll 10 fetches succeeded. Not checked because the cloud throttles the account (429): 5; run the command again later.\n--- stderr\n--- exit code 0\n"},
		{"with a failure", "", []cloudtest.Fault{tooMany("dcs"), forbidden}, "cloud_quota_exporter: 2 of 10 fetches failed, 2 were not checked because of a 429\n--- exit code 1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, cloudtest.Scale(2), tc.more, func(t *testing.T, n *network) {
				for _, f := range tc.faults {
					n.Inject(f)
				}
				text, _ := n.check(t.Context(), 0)
				if !strings.HasSuffix(text, tc.says) || !strings.Contains(text, "429 Too Many Requests") {
					t.Errorf("got %s", text)
				}
			})
		})
	}
}

// TestThrottledLoginIsNotChecked: IAM throttles before it issues a token.
func TestThrottledLoginIsNotChecked(t *testing.T) {
	inBubble(t, cloudtest.ManyProjects(), "", func(t *testing.T, n *network) {
		n.config = write(t, "config.yml", fmt.Sprintf("accounts:\n  - credentials: {password: {domain_name: main, user_name: reader, password: password-1}}\n    endpoints: %s\n"+
			"    projects: [{id: %q, region: ap-southeast-3, name: prod}]\n", hosts, n.Projects()[0].ID))
		n.Inject(cloudtest.Fault{Service: "iam", Status: http.StatusTooManyRequests})
		text, _ := n.check(t.Context(), 0)
		if !strings.HasSuffix(text, "--- stderr\ncloud_quota_exporter: nothing was checked: the cloud throttles the account (429); run the command again later\n--- exit code 1\n") {
			t.Errorf("got %s", text)
		}
	})
}

// TestMatrixOfServicesNotOffered: services that are not offered to any project are listed in one line.
func TestMatrixOfServicesNotOffered(t *testing.T) {
	inBubble(t, cloudtest.Scale(2), "", func(t *testing.T, n *network) {
		n.config = write(t, "config.yml", fmt.Sprintf("accounts:\n  - credentials: {static: {access_key: %s, secret_key: %s}}\n    endpoints: %s\n    discovery: {regions: [ap-southeast-1, ap-southeast-3]}\nservices: {defaults: {enabled: true}}\n",
			democloud.AccessKey, democloud.SecretKey, hosts))
		missing := []string{}
		accountLevel := 0
		for _, s := range providers.All()[5:] {
			if s.API.Account {
				accountLevel++
				continue
			}
			n.Inject(cloudtest.Fault{Service: s.Name, Status: http.StatusNotFound, Body: []byte(`{"error_code":"APIGW.0101","error_msg":"The API does not exist"}`)})
			missing = append(missing, s.Name)
		}
		text, _ := n.check(t.Context(), 0)
		contains(t, text, "CTS     CES     TAURUSDB  DCS     DBSS\n", "\nnot offered to any project: "+strings.Join(missing, ", ")+"\n", fmt.Sprintf("\nAll %d fetches succeeded. ", 10+accountLevel))
	})
}

// TestQueryOfAccounts: the project of an account-level quota is the name of the account, without an ID or a region.
func TestQueryOfAccounts(t *testing.T) {
	inBubble(t, cloudtest.Scale(2), "services: {defaults: {enabled: false}, iam: {enabled: true}, eps: {enabled: true}}\n", func(t *testing.T, n *network) {
		n.Inject(cloudtest.Fault{Service: "iam", Path: "/v3.0/OS-QUOTA/domains/{domain_id}", Status: http.StatusForbidden, Body: cloudsim.ErrorBody("iam", 403, "no")})
		text, _ := n.query(t.Context(), command.Query{Once: n.once(0)})
		contains(t, text, "main     eps      enterprise_project     3    100         97", "cloud_quota_exporter policy prints the account-level policy", "exit code 1")
		text, _ = n.query(t.Context(), command.Query{Once: n.once(0), Output: "json", Services: []string{"eps"}})
		contains(t, text, `"project": "main"`, `"project_id": ""`, `"region": ""`, `"used": 3`, `"failures": []`, "exit code 0")
	})
}
