package k8s

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestKustomizations builds each, and looks at every exporter in it.
func TestKustomizations(t *testing.T) {
	for name, exporters := range map[string]int{"base": 1, "overlays/keys": 1, "overlays/pod-identity": 1, "overlays/shards": 2} {
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

// complaints are what is wrong with manifests: none with those that are shipped, some with each mistake of TestMistakesAreCaught.
type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// examine looks at what the types of the API can't tell: whether objects fit each other and the program.
func examine(t *testing.T, objects []object) (c complaints) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range objects {
		id := o.kind + " " + o.name
		if seen[id] {
			c.add("%s is there twice", id)
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
		c.add("%s has privileges, capabilities or a root that can be written", d.Name)
	}
	if *pod.AutomountServiceAccountToken {
		c.add("%s has a token of Kubernetes", d.Name)
	}
	if r := container.Resources; r.Limits.Memory().IsZero() || r.Requests.Memory().IsZero() || r.Requests.Cpu().IsZero() {
		c.add("%s has no requests or limits", d.Name)
	}
	if *pod.TerminationGracePeriodSeconds <= 15 { // scrapes under way have 15 s to finish
		c.add("%s: the grace period is shorter than a shutdown takes", d.Name)
	}
}

// network follows the way from a service and through the network policy to the pod's port.
func (c *complaints) network(d *apps.Deployment, objects []object) {
	pod := d.Spec.Template.Labels
	port := d.Spec.Template.Spec.Containers[0].Ports[0].Name
	if !selects(d.Spec.Selector.MatchLabels, pod) {
		c.add("%s: the selector does not select the pods", d.Name)
	}
	services := slices.DeleteFunc(all[core.Service](objects), func(s *core.Service) bool { return !selects(s.Spec.Selector, pod) })
	if len(services) != 1 || services[0].Name != d.Name || services[0].Spec.Ports[0].TargetPort.StrVal != port {
		c.add("%s: %d services lead to it, want one of its name, to its port %s", d.Name, len(services), port)
	}
	policies := slices.DeleteFunc(all[networking.NetworkPolicy](objects), func(p *networking.NetworkPolicy) bool {
		return !selects(p.Spec.PodSelector.MatchLabels, pod)
	})
	if len(policies) != 1 || policies[0].Spec.Ingress[0].Ports[0].Port.StrVal != port {
		c.add("%s: %d network policies hold for it, want one that lets port %s in", d.Name, len(policies), port)
	}
}

// monitoring looks whether Prometheus finds the services.
func (c *complaints) monitoring(objects []object) {
	at := map[string]bool{}
	for _, s := range all[core.Service](objects) {
		at[fmt.Sprintf("%s:%d", s.Name, s.Spec.Ports[0].Port)] = true
		for _, m := range all[monitoring.ServiceMonitor](objects) {
			if e := m.Spec.Endpoints[0]; !selects(m.Spec.Selector.MatchLabels, s.Labels) || e.Port != s.Spec.Ports[0].Name {
				c.add("monitor %s does not find service %s", m.Name, s.Name)
			}
			if r := m.Spec.Endpoints[0].RelabelConfigs; len(r) != 1 || r[0].Action != "labeldrop" || r[0].Regex != "service" {
				c.add("monitor %s: relabelings %+v: the target's label service stays", m.Name, r)
			}
		}
	}
	for _, scrape := range all[monitoringalpha.ScrapeConfig](objects) {
		for _, static := range scrape.Spec.StaticConfigs {
			for _, target := range static.Targets {
				if !at[string(target)] {
					c.add("scrape configuration %s: there is no service %s", scrape.Name, target)
				}
			}
		}
		for _, sd := range scrape.Spec.HTTPSDConfigs {
			if host := strings.TrimSuffix(strings.TrimPrefix(string(sd.URL), "http://"), "/sd"); !at[host] {
				c.add("scrape configuration %s: nothing answers %s", scrape.Name, sd.URL)
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
		t.Errorf("%s is not what rules.yml makes; -update writes it anew", file)
	}
}
