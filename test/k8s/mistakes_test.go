package k8s

import (
	"strings"
	"testing"
)

// TestMistakesAreCaught makes a mistake of each sort in a manifest: what the API's types refuse, and what only the other objects or the program
// can tell.
func TestMistakesAreCaught(t *testing.T) {
	built := map[string]string{}
	for _, in := range []string{"base", "overlays/shards"} {
		out, err := run("go", "tool", "kustomize", "build", root+"deploy/k8s/"+in)
		if err != nil {
			t.Fatal(err)
		}
		built[in] = string(out)
	}
	for _, m := range []struct{ in, right, wrong, says string }{
		{"base", "readOnlyRootFilesystem", "readOnlyRootFs", `unknown field "readOnlyRootFs"`},
		{"base", "containerPort: 10133", "containerPort: http", "cannot unmarshal string"},
		{"base", "scrapeTimeout: 25s", "scrapeTimeout: 25 seconds", "spec.endpoints[0].scrapeTimeout"},
		{"base", "action: labeldrop", "action: labelDropp", "spec.endpoints[0].relabelings[0].action"},
		{"base", "for: 15m", "for: fifteen", "spec.groups"},
		{"base", "expr: max", "expression: max", `unknown field "expression"`},
		{"base", "containerPort: 10133", "containerPort: 9100", "port 9100, the program listens at 10133"},
		{"base", "targetPort: http", "targetPort: web", "to its port http"},
		{"base", "- port: http\n      protocol: TCP", "- port: web\n      protocol: TCP", "want one that lets port http in"},
		{"base", "path: /-/ready", "path: /ready", "probe /ready at port http: 404 Not Found"},
		{"base", "path: /-/healthy\n            port: http", "path: /-/healthy\n            port: web", "probe /-/healthy at port web"},
		{"base", "--log.format=json", "--log.fromat=json", "unknown long flag '--log.fromat'"},
		{"base", "--config.file=/etc/cloud_quota_exporter/", "--config.file=/etc/cloud-quota-exporter/", `is mounted as "/etc/cloud_quota_exporter/config.yml"`},
		{"base", "accounts:", "acounts:", "acounts"},
		{"base", "name: cloud-quota-exporter-", "name: cloud-quota-", `is mounted as ""`},
		{"base", "runAsUser: 65532", "runAsUser: 0", "may run as root"},
		{"base", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 5", "shorter than a shutdown takes"},
		{"base", "endpoints:\n  - interval: 30s\n    port: http", "endpoints:\n  - interval: 30s\n    port: metrics", "does not find service cloud-quota-exporter"},
		{"base", "regex: service", "regex: pod", "the target's label service stays"},
		{"overlays/shards", "- cloud-quota-exporter-1:10133", "- cloud-quota-exporter-2:10133", "there is no service cloud-quota-exporter-2:10133"},
		{"overlays/shards", "http://cloud-quota-exporter-0:10133/sd", "http://cloud-quota-exporter:10133/sd", "nothing answers http://cloud-quota-exporter:10133/sd"},
	} {
		t.Run(m.wrong, func(t *testing.T) {
			if !strings.Contains(built[m.in], m.right) {
				t.Fatalf("there is no %s", m.right)
			}
			objects, err := decode([]byte(strings.Replace(built[m.in], m.right, m.wrong, 1)))
			said := ""
			if err != nil {
				said = err.Error()
			} else {
				said = strings.Join(examine(t, objects), "\n")
			}
			if said == "" || !strings.Contains(said, m.says) {
				t.Errorf("%s: got %q, want %q", m.wrong, said, m.says)
			}
		})
	}
}
