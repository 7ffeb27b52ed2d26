package k8s

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// example returns the YAML in docs/kubernetes.md that contains a text.
func example(t *testing.T, with string) string {
	t.Helper()
	document, err := os.ReadFile(root + "docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$").FindAllStringSubmatch(string(document), -1) {
		if strings.Contains(block[2], with) {
			return regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[2], "")
		}
	}
	t.Fatalf("docs/kubernetes.md has no example with %s", with)
	return ""
}

// overlay builds a kustomization beside a copy of the repository, with additional files.
func overlay(t *testing.T, kustomization string, files map[string]string) []object {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "cloud_quota_exporter/deploy"), os.DirFS(root+"deploy")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"), kustomization)
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return build(t, dir)
}

// on adds a base or an overlay to an example.
func on(name, example string) string {
	return "resources: [cloud_quota_exporter/deploy/k8s/" + name + "]\n" + example
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOwnKustomization builds the example of docs/kubernetes.md with each overlay. It sets namespace, image, labels, and configuration in one place.
func TestOwnKustomization(t *testing.T) {
	text, own := example(t, "# kustomization.yaml"), "accounts: [{name: mine, discovery: {}}]\n"
	for _, name := range []string{"base", "overlays/keys", "overlays/pod-identity", "overlays/shards", "overlays/no-operator"} {
		objects := overlay(t, strings.Replace(text, "overlays/keys", name, 1), map[string]string{"config.yml": own})
		selected := map[string]bool{}
		for _, o := range objects {
			var u unstructured.Unstructured
			if err := yaml.Unmarshal(o.text, &u.Object); err != nil {
				t.Fatal(err)
			}
			if u.GetNamespace() != "monitoring" {
				t.Errorf("%s: %s %s is in the namespace %q", name, o.kind, o.name, u.GetNamespace())
			}
			if u.GetLabels()["release"] == "kube-prometheus-stack" {
				selected[u.GetKind()] = true
			} else {
				t.Errorf("%s: %s %s has the labels %v", name, o.kind, o.name, u.GetLabels())
			}
			if u.GetKind() == "ConfigMap" && !strings.Contains(o.name, "dashboard") && all[core.ConfigMap]([]object{o})[0].Data["config.yml"] != own {
				t.Errorf("%s: %s has another configuration", name, o.name)
			}
		}
		if name != "overlays/no-operator" && (!selected["ServiceMonitor"] || !selected["PrometheusRule"]) || name == "overlays/shards" && !selected["ScrapeConfig"] {
			t.Errorf("%s: kube-prometheus-stack selects %v", name, selected)
		}
		for _, d := range all[apps.Deployment](objects) {
			if image := d.Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/team/cloud_quota_exporter:1.0.0" {
				t.Errorf("%s: image %s", name, image)
			}
		}
		for _, complaint := range examine(t, objects) {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

// TestMakeImage runs make image with a builder that records its arguments. The default image needs no registry. Another one is pushed, and used by
// every kustomization.
func TestMakeImage(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(root+"deploy")); err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(root + "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "Makefile"), string(makefile))
	for _, m := range []struct{ args, image, asked string }{
		{"", "cloud_quota_exporter:latest", "build"},
		{"REGISTRY=registry.example.com/team TAG=12e4567", "registry.example.com/team/cloud_quota_exporter:12e4567", "build push"},
		{"", "cloud_quota_exporter:latest", "build"},
	} {
		out, err := run("make", append([]string{"--no-print-directory", "-C", dir, "image", "BUILDER=echo asked:"}, strings.Fields(m.args)...)...)
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, line := range regexp.MustCompile(`(?m)^asked: (\w+) .*?(\S+?)( \.)?$`).FindAllStringSubmatch(string(out), -1) {
			if asked = append(asked, line[1]); line[2] != m.image {
				t.Errorf("%s: %s", m.args, line[0])
			}
		}
		if strings.Join(asked, " ") != m.asked {
			t.Errorf("%s: asked for %q, want %q\n%s", m.args, asked, m.asked, out)
		}
		helm := strings.LastIndex(m.image, ":")
		if !strings.Contains(string(out), "--set image.repository="+m.image[:helm]+" --set-string image.tag="+m.image[helm+1:]) {
			t.Errorf("the Helm values are not printed:\n%s", out)
		}
		for _, d := range all[apps.Deployment](build(t, filepath.Join(dir, "deploy/k8s/overlays/shards"))) {
			c := d.Spec.Template.Spec.Containers[0]
			if c.Image != m.image || c.ImagePullPolicy != core.PullIfNotPresent { // Always, the default for latest, would not use the image that kind load has loaded
				t.Errorf("%s: image %s, pulled %s; want %s", d.Name, c.Image, c.ImagePullPolicy, m.image)
			}
		}
	}
	committed, err := os.ReadFile(root + "deploy/k8s/image/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if written, err := os.ReadFile(filepath.Join(dir, "deploy/k8s/image/kustomization.yaml")); err != nil || string(written) != string(committed) {
		t.Errorf("make image writes\n%s, committed is\n%s", written, committed)
	}
}

// TestPullSecret adds a pull secret as docs/kubernetes.md shows.
func TestPullSecret(t *testing.T) {
	for _, a := range all[core.ServiceAccount](overlay(t, on("overlays/shards", example(t, "imagePullSecrets")), nil)) {
		if !slices.Equal(a.ImagePullSecrets, []core.LocalObjectReference{{Name: "default-secret"}}) {
			t.Errorf("%s has the Secrets %v", a.Name, a.ImagePullSecrets)
		}
	}
}

// TestNames checks that a network policy allows DNS at the port behind the Service. In CCE, the pods of CoreDNS listen on 5353.
func TestNames(t *testing.T) {
	for _, policy := range all[networking.NetworkPolicy](build(t, root+"deploy/k8s/overlays/shards")) {
		var open []string
		for _, rule := range policy.Spec.Egress {
			for _, p := range rule.Ports {
				if len(rule.To) == 0 {
					open = append(open, string(*p.Protocol)+" "+p.Port.String())
				}
			}
		}
		if want := []string{"UDP 53", "TCP 53", "UDP 5353", "TCP 5353", "TCP 443"}; !slices.Equal(open, want) {
			t.Errorf("%s: %v is allowed, want %v", policy.Name, open, want)
		}
	}
}

// TestOnlyPrometheus restricts clients with the comment in the manifest and with the example of docs/kubernetes.md.
func TestOnlyPrometheus(t *testing.T) {
	text, err := os.ReadFile(root + "deploy/k8s/base/exporter/one/networkpolicy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)^( +)# (from:\n|(  )+\S)`)
	uncommented, err := decode([]byte(comment.ReplaceAllString(string(text), "$1$2")))
	if err != nil {
		t.Fatal(err)
	}
	for from, objects := range map[string][]object{"the comment": uncommented, "the document": overlay(t, on("base", example(t, "/spec/ingress/0/from")), nil)} {
		for _, policy := range all[networking.NetworkPolicy](objects) {
			peers := policy.Spec.Ingress[0].From
			if len(policy.Spec.Ingress) != 1 || len(peers) != 1 || peers[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "monitoring" ||
				peers[0].PodSelector.MatchLabels["app.kubernetes.io/name"] != "prometheus" {
				t.Errorf("%s: %+v", from, policy.Spec.Ingress)
			}
		}
	}
}

// TestTwoInOneNamespace builds two copies of the base, also with the example of docs/kubernetes.md. No object selects the pods of the other copy.
func TestTwoInOneNamespace(t *testing.T) {
	for name, second := range map[string]string{
		"two bases":   "nameSuffix: -lab\nresources: [../cloud_quota_exporter/deploy/k8s/base]\n",
		"the example": strings.ReplaceAll(example(t, "nameSuffix"), "cloud_quota_exporter/", "../cloud_quota_exporter/"),
	} {
		selectOnlyTheirs(t, name, overlay(t, "namespace: quotas\nresources: [cloud_quota_exporter/deploy/k8s/base, lab]\n", map[string]string{"lab/kustomization.yaml": second}))
	}
	selectOnlyTheirs(t, "two releases", append(release(t, "quota"), release(t, "lab")...))
}

// selectOnlyTheirs checks that the objects of two exporters do not select the pods of the other.
func selectOnlyTheirs(t *testing.T, name string, objects []object) {
	t.Helper()
	pods := map[string]map[string]string{} // labels by Deployment
	for _, d := range all[apps.Deployment](objects) {
		pods[d.Name] = d.Spec.Template.Labels
	}
	if len(pods) != 2 {
		t.Fatalf("%s: %d exporters", name, len(pods))
	}
	for other, labels := range pods {
		for _, d := range all[apps.Deployment](objects) {
			if selects(d.Spec.Selector.MatchLabels, labels) != (d.Name == other) {
				t.Errorf("%s: Deployment %s and the pods of %s", name, d.Name, other)
			}
		}
		for _, s := range all[core.Service](objects) {
			if selects(s.Spec.Selector, labels) != (s.Name == other) {
				t.Errorf("%s: Service %s and the pods of %s", name, s.Name, other)
			}
			for _, m := range all[monitoring.ServiceMonitor](objects) {
				if selects(m.Spec.Selector.MatchLabels, s.Labels) != (s.Name == m.Name) {
					t.Errorf("%s: ServiceMonitor %s and Service %s", name, m.Name, s.Name)
				}
			}
		}
		for _, p := range all[networking.NetworkPolicy](objects) {
			if selects(p.Spec.PodSelector.MatchLabels, labels) != (p.Name == other) {
				t.Errorf("%s: NetworkPolicy %s and the pods of %s", name, p.Name, other)
			}
		}
	}
}

// TestShardsFollowTheNamespace builds the example of docs/kubernetes.md.
func TestShardsFollowTheNamespace(t *testing.T) {
	objects := overlay(t, example(t, "namespace: quotas"), nil)
	for _, complaint := range examine(t, objects) {
		t.Error(complaint)
	}
	for _, s := range all[monitoringalpha.ScrapeConfig](objects) {
		if s.Namespace != "quotas" || strings.Count(string(s.Spec.HTTPSDConfigs[0].URL), ".quotas.svc:") != 1 {
			t.Errorf("%s: %s in %s", s.Name, s.Spec.HTTPSDConfigs[0].URL, s.Namespace)
		}
	}
}

// TestShardsBesideAnother builds the second exporter of docs/kubernetes.md beside overlays/shards: no ServiceMonitor finds the Services of the other.
func TestShardsBesideAnother(t *testing.T) {
	second := strings.ReplaceAll(example(t, "nameSuffix"), "cloud_quota_exporter/", "../cloud_quota_exporter/")
	objects := overlay(t, "namespace: monitoring\nresources: [cloud_quota_exporter/deploy/k8s/overlays/shards, lab]\n",
		map[string]string{"lab/kustomization.yaml": second})
	for _, m := range all[monitoring.ServiceMonitor](objects) {
		var found []string
		for _, s := range all[core.Service](objects) {
			if selects(m.Spec.Selector.MatchLabels, s.Labels) {
				found = append(found, s.Name)
			}
		}
		want := map[string][]string{
			"cloud-quota-exporter":     {"cloud-quota-exporter-0", "cloud-quota-exporter-1"},
			"cloud-quota-exporter-lab": {"cloud-quota-exporter-lab"},
		}[m.Name]
		if !slices.Equal(found, want) {
			t.Errorf("ServiceMonitor %s finds %q, want %q", m.Name, found, want)
		}
	}
}

// TestShardsWithAPassword adds basic auth to overlays/shards as docs/kubernetes.md shows: Prometheus sends the password to every page.
func TestShardsWithAPassword(t *testing.T) {
	patches := strings.TrimPrefix(example(t, "kind: ScrapeConfig"), "patches:\n")
	objects := overlay(t, on("overlays/shards", example(t, "healthcheck")+patches), nil)
	for _, m := range all[monitoring.ServiceMonitor](objects) {
		for _, s := range all[monitoringalpha.ScrapeConfig](objects) {
			sent := []*monitoring.BasicAuth{m.Spec.Endpoints[0].BasicAuth, s.Spec.BasicAuth}
			for _, sd := range s.Spec.HTTPSDConfigs {
				sent = append(sent, sd.BasicAuth)
			}
			for i, auth := range sent {
				if auth == nil || auth.Password.Name != "cloud-quota-exporter-web" {
					t.Errorf("%d of ServiceMonitor, ScrapeConfig and discoveries sends %+v", i, auth)
				}
			}
		}
	}
	for _, d := range all[apps.Deployment](objects) {
		if d.Spec.Template.Spec.Containers[0].ReadinessProbe.Exec == nil {
			t.Errorf("%s has another probe", d.Name)
		}
	}
}

// TestWithoutTheOperator checks that a plain cluster has every kind, and the annotations that plain Prometheus servers use.
func TestWithoutTheOperator(t *testing.T) {
	for _, name := range []string{"base/exporter", "overlays/no-operator"} {
		objects := build(t, root+"deploy/k8s/"+name)
		for _, o := range objects {
			if strings.Contains(o.kind, "monitoring.coreos.com") {
				t.Errorf("%s contains %s %s", name, o.kind, o.name)
			}
		}
		for _, d := range all[apps.Deployment](objects) {
			a := d.Spec.Template.Annotations
			if name == "base/exporter" {
				continue
			}
			if a["prometheus.io/scrape"] != "true" || a["prometheus.io/port"] != port(t) || a["prometheus.io/path"] != "/metrics" {
				t.Errorf("%s: annotations %v", name, a)
			}
		}
	}
}

// TestKeysOnAnyOverlay adds the access keys to an overlay without them, as docs/kubernetes.md shows.
func TestKeysOnAnyOverlay(t *testing.T) {
	config, err := os.ReadFile(root + "deploy/k8s/overlays/keys/config.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"no-operator", "shards"} {
		text := strings.Replace(example(t, "overlays/no-operator"), "overlays/no-operator", "overlays/"+name, 1)
		objects := overlay(t, text, map[string]string{"config.yml": string(config)})
		for _, complaint := range examine(t, objects) {
			t.Errorf("%s: %s", name, complaint)
		}
		for _, d := range all[apps.Deployment](objects) {
			if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v core.Volume) bool {
				return v.Secret != nil && v.Secret.SecretName == "cloud-quota-exporter-keys"
			}) {
				t.Errorf("%s: %s does not have the Secret", name, d.Name)
			}
		}
	}
}

// TestKindOfCredentialsIsSet in each overlay with its own account, because the default chain would try the agency of the node first.
func TestKindOfCredentialsIsSet(t *testing.T) {
	for name, kind := range map[string]string{"keys": "static", "pod-identity": "pod_identity", "shards": "pod_identity"} {
		for _, d := range all[apps.Deployment](build(t, root+"deploy/k8s/overlays/"+name)) {
			_, file := mounted(t, d, build(t, root+"deploy/k8s/overlays/"+name))
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c struct {
				Accounts []struct{ Credentials map[string]any }
			}
			if err := yaml.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Accounts[0].Credentials[kind]; !ok {
				t.Errorf("%s: credentials %v, want %s", d.Name, c.Accounts[0].Credentials, kind)
			}
		}
	}
}

// TestPaths serves the pages below a path as docs/kubernetes.md shows. Probes and scrapes succeed, and fail if only the flag is set.
func TestPaths(t *testing.T) {
	text := example(t, "--web.external-url")
	objects := overlay(t, on("base", text), nil)
	for _, complaint := range append(examine(t, objects), scraped(t, objects)...) {
		t.Error(complaint)
	}
	flagAlone := regexp.MustCompile(`(?m)^.*(op: replace|/spec/endpoints/0/path).*\n`).ReplaceAllString(text, "")
	objects = overlay(t, on("base", regexp.MustCompile(`(?s)  - target: {kind: ServiceMonitor.*`).ReplaceAllString(flagAlone, "")), nil)
	if said := strings.Join(append(examine(t, objects), scraped(t, objects)...), "\n"); strings.Count(said, "404 Not Found") != 3 {
		t.Errorf("without the paths of the probes and of the ServiceMonitor: %s", said)
	}
}

// scraped requests the endpoints of the ServiceMonitors.
func scraped(t *testing.T, objects []object) (c complaints) {
	t.Helper()
	for _, m := range all[monitoring.ServiceMonitor](objects) {
		for _, d := range all[apps.Deployment](objects) {
			url, err := serve(t, arguments(t, d, objects))
			if err != nil {
				t.Fatal(err)
			}
			path := m.Spec.Endpoints[0].Path
			if path == "" {
				path = "/metrics"
			}
			if resp, err := http.Get(url + path); err != nil || resp.StatusCode != http.StatusOK {
				c.add("%s: %v %s", path, err, resp.Status)
			}
		}
	}
	return c
}

// arguments are those of the pod, with files of the test and any port.
func arguments(t *testing.T, d *apps.Deployment, objects []object) []string {
	t.Helper()
	_, file := mounted(t, d, objects)
	args := []string{"--web.listen-address=127.0.0.1:0"}
	for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
		args = append(args, strings.Replace(arg, "/etc/cloud_quota_exporter/config.yml", file, 1))
	}
	return args
}

// TestProbesWithAPassword runs the program and the probes of docs/kubernetes.md with basic auth.
func TestProbesWithAPassword(t *testing.T) {
	withAPassword(t, overlay(t, on("base", example(t, "healthcheck")), nil))
	withAPassword(t, release(t, "cloud-quota-exporter", "--values="+chart+"/ci/basic-auth-values.yaml"))
}

// withAPassword runs the program and the probes of a Deployment with basic auth.
func withAPassword(t *testing.T, objects []object) {
	t.Helper()
	web := filepath.Join(t.TempDir(), "web.yml")
	write(t, web, "basic_auth_users: {prometheus: $2a$04$Ba3/oA.WZDKD5BqPJtdUuummoh.pXYvfilCVFk8JRdvgEtwBfaY5O}\n")
	for _, d := range all[apps.Deployment](objects) {
		var args []string
		for _, arg := range arguments(t, d, objects) {
			args = append(args, strings.Replace(arg, "/etc/cloud_quota_exporter_web/web.yml", web, 1))
		}
		url, err := serve(t, args)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.Get(url + "/-/ready"); err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v %v, want 401", err, resp)
		}
		container := d.Spec.Template.Spec.Containers[0]
		for _, probe := range []*core.Probe{container.ReadinessProbe, container.LivenessProbe} {
			command := strings.Split(strings.Replace(strings.Join(probe.Exec.Command, " "), "/etc/cloud_quota_exporter_web/web.yml", web, 1), " ")
			command = append(command, "--web.listen-address="+strings.TrimPrefix(url, "http://"))
			if command[0] != "/cloud_quota_exporter" || probe.TimeoutSeconds <= 5 {
				t.Errorf("%v within %d seconds", command, probe.TimeoutSeconds)
			}
			if out, err := exec.Command(program, command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", command, err, out)
			}
		}
		if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v core.Volume) bool {
			return v.Secret != nil && v.Secret.SecretName == "cloud-quota-exporter-web" && *v.Secret.DefaultMode == 0o440
		}) {
			t.Errorf("%s does not have the Secret", d.Name)
		}
	}
	for _, m := range all[monitoring.ServiceMonitor](objects) {
		if b := m.Spec.Endpoints[0].BasicAuth; b == nil || b.Password.Name != "cloud-quota-exporter-web" {
			t.Errorf("%s has the password %v", m.Name, b)
		}
	}
}

// TestCommandsInThePod runs the kubectl exec commands of docs/kubernetes.md.
func TestCommandsInThePod(t *testing.T) {
	document, err := os.ReadFile(root + "docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	objects := overlay(t, on("base", "configMapGenerator: [{name: cloud-quota-exporter, behavior: replace, files: [config.yml]}]"), map[string]string{
		"config.yml": "accounts: [{credentials: {static: {access_key: A, secret_key: S}}, endpoints: {default: 'http://127.0.0.1:9'}, projects: [{region: ap-southeast-1, name: prod, id: 0250cb8a80c24c0b9f20f557cb159aad}]}]\n",
	})
	commands := regexp.MustCompile(`(?m)^kubectl -n monitoring exec deploy/cloud-quota-exporter -- /cloud_quota_exporter (.*)$`).FindAllStringSubmatch(string(document), -1)
	if len(commands) != 2 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, command := range commands {
		d := all[apps.Deployment](objects)[0]
		at, file := mounted(t, d, objects)
		out, err := exec.Command(program, strings.Fields(strings.Replace(command[1], "="+at, "="+file, 1))...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "dcs") || strings.Contains(string(out), "usage:") { // nothing listens there
			t.Errorf("%s: %v\n%s", command[1], err, out)
		}
	}
}
