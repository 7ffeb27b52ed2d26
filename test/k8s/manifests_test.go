package k8s

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

var kustomizations = []string{"base", "overlays/keys", "overlays/pod-identity", "overlays/shards"}

// TestKustomizations builds each, and looks at every exporter in it.
func TestKustomizations(t *testing.T) {
	for _, name := range kustomizations {
		t.Run(name, func(t *testing.T) {
			objects := build(t, root+"deploy/k8s/"+name)
			seen := map[string]bool{}
			exporters := 0
			for _, o := range objects {
				if id := o.kind + " " + o.name; seen[id] {
					t.Errorf("%s is there twice", id)
				} else {
					seen[id] = true
				}
				if d, ok := o.typed.(*apps.Deployment); ok {
					exporters++
					checkDeployment(t, d, objects)
				}
			}
			if want := map[bool]int{true: 2, false: 1}[name == "overlays/shards"]; exporters != want {
				t.Errorf("%d exporters, want %d", exporters, want)
			}
		})
	}
}

func checkDeployment(t *testing.T, d *apps.Deployment, objects []object) {
	t.Helper()
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	checkSecurity(t, pod, c)
	if !selects(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
		t.Errorf("%s: the selector does not select the pods", d.Name)
	}
	services := 0
	for _, o := range objects {
		switch v := o.typed.(type) {
		case *core.Service:
			if selects(v.Spec.Selector, d.Spec.Template.Labels) {
				services++
				if v.Name != d.Name || v.Spec.Ports[0].TargetPort.StrVal != c.Ports[0].Name {
					t.Errorf("service %s: port %v, want that of %s", v.Name, v.Spec.Ports, d.Name)
				}
			}
		case *networking.NetworkPolicy:
			if port := v.Spec.Ingress[0].Ports[0].Port.StrVal; port != c.Ports[0].Name {
				t.Errorf("network policy %s: port %s", v.Name, port)
			}
		}
	}
	if services != 1 {
		t.Errorf("%d services lead to %s, want one", services, d.Name)
	}
	checkProgram(t, d, objects)
}

func checkSecurity(t *testing.T, pod core.PodSpec, c core.Container) {
	t.Helper()
	s := c.SecurityContext
	switch {
	case pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0:
		t.Error("it may run as root")
	case pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault:
		t.Error("no seccomp profile")
	case *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}):
		t.Error("privileges, capabilities or a root that can be written")
	case *pod.AutomountServiceAccountToken:
		t.Error("it has a token of Kubernetes")
	case c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero():
		t.Error("no requests or limits")
	case *pod.TerminationGracePeriodSeconds <= 15: // scrapes under way have 15 s to finish
		t.Error("the grace period is shorter than a shutdown takes")
	}
}

// checkProgram starts the program with the manifest's flags and configuration, and asks by the manifest's ports and paths.
func checkProgram(t *testing.T, d *apps.Deployment, objects []object) {
	t.Helper()
	c := d.Spec.Template.Spec.Containers[0]
	config := mounted(t, d, objects)
	args := append(slices.Clone(c.Args), "--config.file="+config)
	args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config.file=/etc/") })
	if len(args) != len(c.Args) {
		t.Errorf("%s: --config.file is not among %q", d.Name, c.Args)
	}
	if _, err := run(program, append(args, "check-config")...); err != nil && !strings.Contains(err.Error(), "no keys:") { // the keys are in a Secret
		t.Error(err)
	}
	if help, err := exec.Command(program, "--help").CombinedOutput(); err != nil || !strings.Contains(string(help), ":10133") {
		t.Errorf("the program's port is not 10133: %v", err)
	}
	if c.Ports[0].ContainerPort != 10133 {
		t.Errorf("port %d, want 10133", c.Ports[0].ContainerPort)
	}
	url := serve(t, append(args, "--web.listen-address=127.0.0.1:0"))
	for _, probe := range []*core.Probe{c.ReadinessProbe, c.LivenessProbe} {
		resp, err := http.Get(url + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("probe %s at port %s: %s", probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal, resp.Status)
		}
	}
}

// mounted writes the configuration that the pod has at its path, and returns the file.
func mounted(t *testing.T, d *apps.Deployment, objects []object) string {
	t.Helper()
	pod := d.Spec.Template.Spec
	for _, v := range pod.Volumes {
		if v.ConfigMap == nil {
			continue
		}
		for _, o := range objects {
			if m, ok := o.typed.(*core.ConfigMap); ok && m.Name == v.ConfigMap.Name {
				file := filepath.Join(t.TempDir(), "config.yml")
				if err := os.WriteFile(file, []byte(m.Data["config.yml"]), 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
		}
	}
	t.Fatalf("%s: no ConfigMap is mounted that exists", d.Name)
	return ""
}

// serve starts the program and returns its URL.
func serve(t *testing.T, args []string) string {
	t.Helper()
	c := exec.Command(program, args...)
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	listening := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if at := listening.FindString(lines.Text()); at != "" && strings.Contains(lines.Text(), "Listening") {
			return "http://" + at
		}
	}
	t.Fatalf("it does not listen:\n%s", &log)
	return ""
}

func selects(selector, of map[string]string) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

func TestServiceMonitor(t *testing.T) {
	objects := build(t, root+"deploy/k8s/base")
	m, service := find[monitoring.ServiceMonitor](t, objects), find[core.Service](t, objects)
	if !selects(m.Spec.Selector.MatchLabels, service.Labels) || m.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
		t.Errorf("the monitor does not find the service")
	}
	if r := m.Spec.Endpoints[0].RelabelConfigs; len(r) != 1 || r[0].Action != "labeldrop" || r[0].Regex != "service" {
		t.Errorf("relabelings %+v: the target's label service stays", r)
	}
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

// TestMistakesAreCaught has a mistake of each sort in a manifest.
func TestMistakesAreCaught(t *testing.T) {
	out, err := run("go", "tool", "kustomize", "build", root+"deploy/k8s/base")
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range [][2]string{
		{"readOnlyRootFilesystem", "readOnlyRootFs"},
		{"scrapeTimeout: 25s", "scrapeTimeout: 25 seconds"},
		{"action: labeldrop", "action: labelDropp"},
		{"for: 15m", "for: fifteen"},
		{"expr: max", "expression: max"},
		{"containerPort: 10133", "containerPort: http"},
	} {
		if !strings.Contains(string(out), mistake[0]) {
			t.Errorf("there is no %s", mistake[0])
		}
		if _, err := decode([]byte(strings.Replace(string(out), mistake[0], mistake[1], 1))); err == nil {
			t.Errorf("%s: nobody noticed", mistake[1])
		}
	}
}
