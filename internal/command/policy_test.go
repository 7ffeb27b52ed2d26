package command_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/providers"
)

// tenServices are ten services of the catalogue, five of them enabled by default, and some account-level APIs.
const tenServices = `services:
  ces: {enabled: false}
  ecs: {enabled: true}
  evs: {enabled: true}
  rds: {enabled: true}
  kms: {enabled: true}
  dc: {enabled: true}
  dws: {enabled: true}
  my_networks: {api: {level: account, host: cc, path: "/v3/{domain_id}/gcn/quotas", action: {role: "cc:quota:list"}}}
  my_sites: {api: {level: account, host: cc, path: "/v3/{domain_id}/dcaas/quotas", action: {role: "cc:quota:list"}}}
  my_zones: {api: {level: account, host: dns, path: /v2/quotas, action: {identity: "dns:quota:list", role: "dns:zone:get"}}}
  my_tags: {api: {level: account, host: tms, path: /v1.0/tms/quotas, action: none}}
  my_clouds: {api: {level: account, host: iecs, path: /v1/edgeclouds/quotas}}
  my_old: {enabled: false, api: {level: account, host: old, path: /v1/quotas, action: "old:quota:get"}}
`

// policyDocument is a custom policy.
type policyDocument struct {
	Version   string
	Statement []struct {
		Effect string
		Action []string
	}
}

// policies runs policy and returns the result, and the actions of each policy on stdout.
func policies(t *testing.T, config string, p command.Policy) (text string, actions [][]string) {
	t.Helper()
	text = transcriptOf(func(terminal command.Terminal) error { return p.Run(t.Context(), terminal, config) })
	stdout, _, _ := strings.Cut(text, "--- stderr\n")
	version := map[string]string{"role": "1.1", "identity": "5.0"}[p.Type]
	for d := json.NewDecoder(strings.NewReader(stdout)); ; {
		d.DisallowUnknownFields()
		var policy policyDocument
		err := d.Decode(&policy)
		if errors.Is(err, io.EOF) {
			return text, actions
		}
		if err != nil || policy.Version != version || len(policy.Statement) != 1 || policy.Statement[0].Effect != "Allow" {
			t.Fatalf("%v: %+v", err, policy)
		}
		listed := policy.Statement[0].Action
		if !slices.IsSorted(listed) || len(slices.Compact(slices.Clone(listed))) != len(listed) || slices.Contains(listed, "") || slices.Contains(listed, "none") {
			t.Errorf("not one of each, in order: %v", listed)
		}
		actions = append(actions, listed)
	}
}

func TestPolicy(t *testing.T) {
	config := write(t, "config.yml", allProjects(cloudtest.Scale(1), "SK", "{}")+"    discovery: {}\n"+tenServices)
	for kind, want := range map[string][][]string{ // as in the documents
		"role": {
			{"cts:quota:get", "dbss:auditInstance:list", "dcs:quota:get", "ecs:cloudServerQuotas:get", "evs:quotas:get", "gaussdb:instance:list", "kms:cmk:getQuota", "rds:instance:list"},
			{"cc:quota:list", "dns:zone:get", "iam:projects:listProjects"},
		},
		"identity": {
			{
				"cts:quota:get", "dbss:auditInstance:list", "dcs:quota:get", "dws:service:listQuotas", "ecs:cloudServerQuotas:get", "gaussdbformysql:quota:list",
				"kms::getQuota", "rds:instance:listQuotas",
			},
			{"dns:quota:list", "iam:projects:listProjects"},
		},
	} {
		text, got := policies(t, config, command.Policy{Type: kind})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", kind, got, want)
		}
		golden(t, "policy-"+kind, text)
		for i, level := range []string{"project", "account"} {
			if _, got := policies(t, config, command.Policy{Type: kind, Level: level}); fmt.Sprint(got) != fmt.Sprint(want[i:i+1]) {
				t.Errorf("%s, %s: got %v, want %v", kind, level, got, want[i])
			}
		}
	}
}

// TestPolicyOfAllServices: each service of the catalogue is in the policy of its level, is listed as one without a documented action, or needs none.
func TestPolicyOfAllServices(t *testing.T) {
	config := write(t, "config.yml", allProjects(cloudtest.Scale(1), "SK", "{}")+"services: {defaults: {enabled: true}, dbss: {list_instances: false}}\n")
	for kind, action := range map[string]func(providers.Action) string{
		"role": func(a providers.Action) string { return a.Role }, "identity": func(a providers.Action) string { return a.Identity },
	} {
		for _, level := range []string{"project", "account"} {
			text, got := policies(t, config, command.Policy{Type: kind, Level: level})
			var want []string
			for _, s := range providers.All() {
				name := action(s.API.Action)
				isMissing := strings.Contains(text, "\n  "+s.Name+": action not documented; ")
				if isMissing != (name == "" && s.API.Level() == level) {
					t.Errorf("%s, %s: %s is missing: %t", kind, level, s.Name, isMissing)
				}
				if name != "" && name != providers.NoAction && s.API.Level() == level {
					want = append(want, name)
				}
			}
			if slices.Sort(want); fmt.Sprint(slices.Concat(got...)) != fmt.Sprint(slices.Compact(want)) {
				t.Errorf("%s, %s: got %v, want %v", kind, level, got, want)
			}
		}
	}
}

func TestPolicyOfConfigurations(t *testing.T) {
	const account = "accounts:\n  - name: shop\n    credentials: {static: {access_key: AK, secret_key: SK}%s}\n    projects: [{%s region: ap-southeast-3}]\n%s"
	const id = "id: 0250cb8a80c24c0b9f20f557cb159aad, name: prod,"
	const none = "services:\n  defaults: {enabled: false}\n"
	own := func(rest string) string {
		return none + "  my_api: {api: {level: account, host: my, path: /v1/quotas" + rest + "}}\n"
	}
	for name, tc := range map[string]struct {
		agency, id, services string
		policy               command.Policy
		want                 [][]string
		says                 []string
	}{
		"a project is looked up": {
			services: own(`, action: "my:quota:get"`), want: [][]string{{"iam:projects:listProjects", "my:quota:get"}},
			says: []string{"--- stderr\nproject-level services: no policy, because no action is needed\naccount-level services: policy 1, for role/policy authorization\n--- exit code 0"},
		},
		"an agency": {
			id: id, agency: ", assume_agency: {domain_name: other, agency_name: quota-reader}", services: none + "  cts: {enabled: true}\n", want: [][]string{{"cts:quota:get"}},
			says: []string{"\naccount-level services: no policy, because no action is needed\naccount shop: grant this to the agency quota-reader; the credentials that assume it need the role Agent Operator"},
		},
		"an option": {
			id: id, services: none + "  dbss: {enabled: true}\n", want: [][]string{{"dbss:auditInstance:list"}},
			says: []string{"\n  dbss: action not documented; grant the role Tenant Guest\n"},
		},
		"an option that is off": {
			id: id, services: none + "  dbss: {enabled: true, list_instances: false}\n",
			says: []string{
				"--- stderr\nproject-level services: no policy, because no action is known\n  dbss: action not documented; grant the role Tenant Guest\n",
				"cloud_quota_exporter: no policy: no action is known for role/policy authorization\n--- exit code 1",
			},
		},
		"an action of the other type": {
			id: id, services: own(`, action: {role: "my:quota:get"}`), policy: command.Policy{Type: "identity"},
			says: []string{"  my_api: services.my_api.api.action has no name for identity policies; grant my:quota:get (--type role), or the role Tenant Guest\n", "exit code 1"},
		},
		"none of the other type": {
			id: id, services: own(`, action: {identity: none}`),
			says: []string{"  my_api: services.my_api.api.action has no name for role/policy authorization; none is needed with --type identity, otherwise grant the role Tenant Guest\n", "exit code 1"},
		},
		"an own API without an action": {
			id: id, services: own(""),
			says: []string{"  my_api: services.my_api.api.action has no name for role/policy authorization; grant the role Tenant Guest\n", "exit code 1"},
		},
		"no action is needed": {
			id: id, services: own(", action: none"), says: []string{"\naccount-level services: no policy, because no action is needed\n--- exit code 0"},
		},
		"nothing of a level": {
			id: id, services: own(`, action: "my:quota:get"`), policy: command.Policy{Type: "role", Level: "project"},
			says: []string{"--- stderr\nproject-level services: no policy, because no action is needed\n--- exit code 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.policy.Type == "" {
				tc.policy.Type = "role"
			}
			text, got := policies(t, write(t, "config.yml", fmt.Sprintf(account, tc.agency, tc.id, tc.services)), tc.policy)
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			contains(t, text, tc.says...)
		})
	}
}

// TestPolicyWithoutFile covers the services that are enabled by default.
func TestPolicyWithoutFile(t *testing.T) {
	project := []string{"ces:quotas:get", "cts:quota:get", "dbss:auditInstance:list", "dcs:quota:get", "gaussdb:instance:list"}
	account := []string{"iam:projects:listProjects"}
	for environment, want := range map[string][][]string{
		"":                             {project, account},
		"HUAWEICLOUD_SDK_REGION=eu-de": {project, account},
		"HW_PROJECT_ID=0250cb8a80c24c0b9f20f557cb159aad": {project},
	} {
		t.Run(environment, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			if name, value, ok := strings.Cut(environment, "="); ok {
				t.Setenv(name, value)
			}
			if _, got := policies(t, "", command.Policy{Type: "role"}); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	t.Setenv("HOME", t.TempDir())
	services := write(t, "config.yml", "services: {ecs: {enabled: true}}\n") // the account comes from the environment
	for name, run := range map[string]func(command.Terminal) error{
		"policy": func(terminal command.Terminal) error {
			return command.Policy{Type: "role"}.Run(t.Context(), terminal, services)
		},
		"services": func(terminal command.Terminal) error { return command.Services{}.Run(t.Context(), terminal, services) },
	} {
		t.Run(name, func(t *testing.T) { contains(t, transcriptOf(run), "ecs:cloudServerQuotas:get", "exit code 0") })
	}
	t.Setenv("HW_PROJECT_ID", "no id")
	text, got := policies(t, "", command.Policy{Type: "role"})
	if contains(t, text, "HW_PROJECT_ID", "exit code 1"); got != nil {
		t.Errorf("got %v", got)
	}
	text, got = policies(t, write(t, "config.yml", "accounts: [{projects: []}]\nservices: {dns: {enabled: true}}\n"), command.Policy{Type: "role"})
	if contains(t, text, "project-level services: no policy, because no action is needed\n"); fmt.Sprint(got) != "[[dns:zone:get]]" {
		t.Errorf("got %v", got)
	}
	text, _ = policies(t, write(t, "config.yml", "services: {cst: {}}\n"), command.Policy{Type: "role"})
	contains(t, text, "services.cst: unknown key", "exit code 1")
}
