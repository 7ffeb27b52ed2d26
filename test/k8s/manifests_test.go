package k8s

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestKustomizations builds each kustomization, and checks every exporter in it.
func TestKustomizations(t *testing.T) {
	for name, exporters := range map[string]int{
		"base": 1, "base/exporter": 1, "overlays/keys": 1, "overlays/no-operator": 1, "overlays/pod-identity": 1, "overlays/shards": 2,
	} {
		t.Run(name, func(t *testing.T) {
			objects := build(t, root+"deploy/k8s/"+name)
			if n := len(all[apps.Deployment](objects)); n != exporters {
				t.Errorf("%d exporters, want %d", n, exporters)
			}
			for _, complaint := range examine(t, objects) {
				t.Error(complaint)
			}
		})
	}
}

// complaints are the problems of manifests: none for those that are shipped, some for each mistake of TestMistakesAreCaught.
type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// examine checks what the types of the API cannot: whether objects match each other and the program.
func examine(t *testing.T, objects []object) (c complaints) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range objects {
		id := o.kind + " " + o.name
		if seen[id] {
			c.add("%s is defined twice", id)
		}
		seen[id] = true
	}
	for _, d := range all[apps.Deployment](objects) {
		c.security(d)
		c.network(d, objects)
		c.program(t, d, objects)
	}
	c.monitoring(objects)
	return c
}

func (c *complaints) security(d *apps.Deployment) {
	pod := d.Spec.Template.Spec
	container := pod.Containers[0]
	s := container.SecurityContext
	if pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 {
		c.add("%s may run as root", d.Name)
	}
	if pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		c.add("%s has no seccomp profile", d.Name)
	}
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		c.add("%s has privileges, capabilities, or a writable root file system", d.Name)
	}
	if *pod.AutomountServiceAccountToken {
		c.add("%s mounts a Kubernetes token", d.Name)
	}
	if r := container.Resources; r.Limits.Memory().IsZero() || r.Requests.Memory().IsZero() || r.Requests.Cpu().IsZero() {
		c.add("%s has no requests or limits", d.Name)
	}
	if *pod.TerminationGracePeriodSeconds <= 15 { // running scrapes have 15 s to finish
		c.add("%s: the grace period is shorter than a shutdown takes", d.Name)
	}
}

// network follows the path from a service and through the network policy to the pod's port.
func (c *complaints) network(d *apps.Deployment, objects []object) {
	pod := d.Spec.Template.Labels
	port := d.Spec.Template.Spec.Containers[0].Ports[0].Name
	if !selects(d.Spec.Selector.MatchLabels, pod) {
		c.add("%s: the selector does not select the pods", d.Name)
	}
	services := slices.DeleteFunc(all[core.Service](objects), func(s *core.Service) bool { return !selects(s.Spec.Selector, pod) })
	if len(services) != 1 || services[0].Name != d.Name || services[0].Spec.Ports[0].TargetPort.StrVal != port {
		c.add("%s: %d services select it, want one with its name, to its port %s", d.Name, len(services), port)
	}
	policies := slices.DeleteFunc(all[networking.NetworkPolicy](objects), func(p *networking.NetworkPolicy) bool {
		return !selects(p.Spec.PodSelector.MatchLabels, pod)
	})
	if len(policies) != 1 || policies[0].Spec.Ingress[0].Ports[0].Port.StrVal != port {
		c.add("%s: %d network policies select it, want one that allows port %s", d.Name, len(policies), port)
	}
}

// exporterLabels are the labels that the exporter uses. CloudQuotaLabelsRenamed fires if targets have them.
const exporterLabels = "service|project|account|region|project_id|resource_type|unit|severity|reason|code|version|revision|goversion"

// monitoring checks that Prometheus finds the services.
func (c *complaints) monitoring(objects []object) {
	at := map[string]bool{}
	for _, s := range all[core.Service](objects) {
		at[fmt.Sprintf("%s.%s.svc:%d", s.Name, s.Namespace, s.Spec.Ports[0].Port)] = true // Prometheus may run in another namespace
		for _, m := range all[monitoring.ServiceMonitor](objects) {
			if e := m.Spec.Endpoints[0]; !selects(m.Spec.Selector.MatchLabels, s.Labels) || e.Port != s.Spec.Ports[0].Name {
				c.add("monitor %s does not find service %s", m.Name, s.Name)
			}
			if collect := m.Spec.Endpoints[0].Params["collect[]"]; len(all[monitoringalpha.ScrapeConfig](objects)) > 0 && !slices.Equal(collect, []string{"exporter"}) {
				c.add("monitor %s scrapes %q: nothing scrapes collect[]=exporter alone", m.Name, collect)
			}
			if r := m.Spec.Endpoints[0].RelabelConfigs; len(r) == 0 || r[0].Action != "labeldrop" || r[0].Regex != exporterLabels {
				c.add("monitor %s: relabelings %+v: the target's labels stay", m.Name, r)
			}
		}
	}
	for _, scrape := range all[monitoringalpha.ScrapeConfig](objects) {
		shards := int64(0)
		for _, r := range scrape.Spec.RelabelConfigs {
			shards = max(shards, r.Modulus)
			for i := int64(0); r.TargetLabel == "__address__" && i < shards; i++ {
				if target := strings.ReplaceAll(*r.Replacement, "$1", fmt.Sprint(i)); !at[target] {
					c.add("scrape configuration %s: there is no service %s", scrape.Name, target)
				}
			}
		}
		if shards != int64(len(at)) || len(scrape.Spec.HTTPSDConfigs) < 2 {
			c.add("scrape configuration %s: %d shards of %d services, %d lists of projects", scrape.Name, shards, len(at), len(scrape.Spec.HTTPSDConfigs))
		}
		for _, sd := range scrape.Spec.HTTPSDConfigs {
			if host := strings.TrimSuffix(strings.TrimPrefix(string(sd.URL), "http://"), "/sd"); !at[host] {
				c.add("scrape configuration %s: no service at %s", scrape.Name, sd.URL)
			}
		}
	}
}

func selects(selector, of map[string]string) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

// TestOneSourceOfRules compares the PrometheusRule with the rules that promtool tests.
func TestOneSourceOfRules(t *testing.T) {
	const file = root + "deploy/k8s/base/rules/prometheusrule.yaml"
	text, err := os.ReadFile(root + "deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules map[string]any
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	made, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
		"metadata": map[string]any{"name": "cloud-quota-exporter"}, "spec": rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "# Made of deploy/prometheus/rules.yml by go -C test/k8s test -run=OneSource -update; change it there.\n" + string(made)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from rules.yml; -update writes it again", file)
	}
}

// object is one of the objects of a build.
type object struct {
	kind, name string
	text       []byte
	typed      any
}

// typed returns the Go type of a kind.
func typed(kind string) (any, error) {
	switch kind {
	case "apps/v1 Deployment":
		return new(apps.Deployment), nil
	case "policy/v1 PodDisruptionBudget":
		return new(policy.PodDisruptionBudget), nil
	case "v1 Service":
		return new(core.Service), nil
	case "v1 ServiceAccount":
		return new(core.ServiceAccount), nil
	case "v1 ConfigMap":
		return new(core.ConfigMap), nil
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networking.NetworkPolicy), nil
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoring.ServiceMonitor), nil
	case "monitoring.coreos.com/v1 PrometheusRule":
		return new(monitoring.PrometheusRule), nil
	case "monitoring.coreos.com/v1alpha1 ScrapeConfig":
		return new(monitoringalpha.ScrapeConfig), nil
	}
	return nil, fmt.Errorf("%s: unknown kind in this test", kind)
}

// build returns the objects of a kustomization.
func build(t *testing.T, dir string) []object {
	t.Helper()
	out, err := run("go", "tool", "kustomize", "build", dir)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(out)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return objects
}

// decode parses objects strictly. Fields that the types do not have, and values that the operator's CRDs reject, are errors.
func decode(text []byte) ([]object, error) {
	var objects []object
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var meta struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := yaml.Unmarshal(part, &meta); err != nil {
			return nil, err
		}
		o := object{kind: meta.APIVersion + " " + meta.Kind, name: meta.Metadata.Name, text: part}
		var err error
		if o.typed, err = typed(o.kind); err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(part, o.typed); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.kind, o.name, err)
		}
		if err := o.validate(meta.Kind); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// validate checks an object of the operator by the CRD of its kind.
func (o object) validate(kind string) error {
	if !strings.HasPrefix(o.kind, "monitoring.coreos.com/") {
		return nil
	}
	known, err := validators()
	if err != nil {
		return err
	}
	validator, found := known[kind]
	if !found {
		return fmt.Errorf("%s %s: no CRD for this kind", o.kind, o.name)
	}
	var value any
	if err := yaml.Unmarshal(o.text, &value); err != nil {
		return err
	}
	if problems := validation.ValidateCustomResource(nil, value, validator); len(problems) > 0 {
		return fmt.Errorf("%s %s: %w", o.kind, o.name, problems.ToAggregate())
	}
	return nil
}

// validators are made of the operator's CRDs, by kind.
var validators = sync.OnceValues(func() (map[string]validation.SchemaValidator, error) {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return nil, err
	}
	made := map[string]validation.SchemaValidator{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var internal apiextensions.CustomResourceValidation
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(crd.Spec.Versions[0].Schema, &internal, nil); err != nil {
			return nil, err
		}
		if made[crd.Spec.Names.Kind], _, err = validation.NewSchemaValidator(internal.OpenAPIV3Schema); err != nil {
			return nil, err
		}
	}
	return made, nil
})

// all returns the objects of a type.
func all[T any](objects []object) (found []*T) {
	for _, o := range objects {
		if v, ok := o.typed.(*T); ok {
			found = append(found, v)
		}
	}
	return found
}

// TestMistakesAreCaught makes a mistake of each kind in a manifest: some are rejected by the API's types, and some are only visible from the other
// objects or the program.
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
		{"base", "- port: http\n      protocol: TCP", "- port: web\n      protocol: TCP", "want one that allows port http"},
		{"base", "path: /-/ready", "path: /ready", "probe /ready at port http: 404 Not Found"},
		{"base", "path: /-/healthy\n            port: http", "path: /-/healthy\n            port: web", "probe /-/healthy at port web"},
		{"base", "--log.format=json", "--log.fromat=json", "unknown long flag '--log.fromat'"},
		{"base", "--config.file=/etc/cloud_quota_exporter/", "--config.file=/etc/cloud-quota-exporter/", `is mounted as "/etc/cloud_quota_exporter/config.yml"`},
		{"base", "accounts:", "acounts:", "acounts"},
		{"base", "name: cloud-quota-exporter-", "name: cloud-quota-", `is mounted as ""`},
		{"base", "runAsUser: 65532", "runAsUser: 0", "may run as root"},
		{"base", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 5", "shorter than a shutdown takes"},
		{"base", "endpoints:\n  - interval: 30s\n    port: http", "endpoints:\n  - interval: 30s\n    port: metrics", "does not find service cloud-quota-exporter"},
		{"base", "regex: service", "regex: pod", "the target's labels stay"},
		{"overlays/shards", "modulus: 2", "modulus: 3", "there is no service cloud-quota-exporter-2.monitoring.svc:10133"},
		{"overlays/shards", "replacement: cloud-quota-exporter-$1.monitoring.svc", "replacement: cloud-quota-exporter-$1", "there is no service cloud-quota-exporter-0:10133"},
		{"overlays/shards", "http://cloud-quota-exporter-0.", "http://cloud-quota-exporter.", "no service at http://cloud-quota-exporter.monitoring.svc:10133/sd"},
		{"overlays/shards", "  - refreshInterval: 1m\n    url: http://cloud-quota-exporter-1.monitoring.svc:10133/sd\n", "", "2 services, 1 lists of projects"},
		{"overlays/shards", "collect[]:\n      - exporter", "collect[]:\n      - dcs", "nothing scrapes collect[]=exporter alone"},
	} {
		t.Run(m.wrong, func(t *testing.T) {
			if !strings.Contains(built[m.in], m.right) {
				t.Fatalf("no %s in it", m.right)
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
