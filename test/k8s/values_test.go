package k8s

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// inFull is the expected location of each value of ci/full-values.yaml: its key, and an object and a path in it. A list may contain others. A text is
// the result for a value that is not copied unchanged.
var inFull = []struct{ key, object, path, text string }{
	{"fullnameOverride", "Deployment quotas", "metadata name", ""},
	{"commonLabels", "ServiceMonitor quotas", "metadata labels", ""},
	{"commonLabels", "PrometheusRule quotas", "metadata labels", ""},
	{"commonLabels", "Deployment quotas", "spec template metadata labels", ""},
	{"image.registry", "Deployment quotas", "spec template spec containers 0 image", "%s/monitoring/cloud_quota_exporter:1.0.0"},
	{"image.repository", "Deployment quotas", "spec template spec containers 0 image", "registry.example.com/%s:1.0.0"},
	{"image.tag", "Deployment quotas", "spec template spec containers 0 image", "registry.example.com/monitoring/cloud_quota_exporter:%s"},
	{"image.pullPolicy", "Deployment quotas", "spec template spec containers 0 imagePullPolicy", ""},
	{"imagePullSecrets", "Deployment quotas", "spec template spec imagePullSecrets", ""},
	{"config", "ConfigMap quotas", "data config.yml", ""},
	{"existingSecret", "Deployment quotas", "spec template spec volumes keys secret secretName", ""},
	{"web.externalURL", "Deployment quotas", "spec template spec containers 0 args", "--web.external-url=%s"},
	{"web.externalURL", "Deployment quotas", "spec template spec containers 0 readinessProbe httpGet path", "/quotas/-/ready"},
	{"web.externalURL", "Deployment quotas", "spec template spec containers 0 livenessProbe httpGet path", "/quotas/-/healthy"},
	{"web.externalURL", "ServiceMonitor quotas", "spec endpoints 0 path", "/quotas/numbers"},
	{"web.telemetryPath", "Deployment quotas", "spec template spec containers 0 args", "--web.telemetry-path=%s"},
	{"web.telemetryPath", "ServiceMonitor quotas", "spec endpoints 0 path", "/quotas%s"},
	{"log.level", "Deployment quotas", "spec template spec containers 0 args", "--log.level=%s"},
	{"log.format", "Deployment quotas", "spec template spec containers 0 args", "--log.format=%s"},
	{"extraArgs", "Deployment quotas", "spec template spec containers 0 args", ""},
	{"extraEnv", "Deployment quotas", "spec template spec containers 0 env", ""},
	{"extraEnvFrom", "Deployment quotas", "spec template spec containers 0 envFrom", ""},
	{"extraVolumes", "Deployment quotas", "spec template spec volumes", ""},
	{"extraVolumeMounts", "Deployment quotas", "spec template spec containers 0 volumeMounts", ""},
	{"extraContainers", "Deployment quotas", "spec template spec containers", ""},
	{"initContainers", "Deployment quotas", "spec template spec initContainers", ""},
	{"replicas", "Deployment quotas", "spec replicas", ""},
	{"revisionHistoryLimit", "Deployment quotas", "spec revisionHistoryLimit", ""},
	{"strategy", "Deployment quotas", "spec strategy", ""},
	{"resources", "Deployment quotas", "spec template spec containers 0 resources", ""},
	{"resources", "Deployment quotas", "spec template spec containers 0 env GOMEMLIMIT value", "921MiB"},
	{"probes.httpHeaders", "Deployment quotas", "spec template spec containers 0 readinessProbe httpGet httpHeaders", ""},
	{"probes.httpHeaders", "Deployment quotas", "spec template spec containers 0 livenessProbe httpGet httpHeaders", ""},
	{"probes.readiness", "Deployment quotas", "spec template spec containers 0 readinessProbe", ""},
	{"probes.liveness", "Deployment quotas", "spec template spec containers 0 livenessProbe", ""},
	{"service.type", "Service quotas", "spec type", ""},
	{"service.port", "Service quotas", "spec ports http port", ""},
	{"service.nodePort", "Service quotas", "spec ports http nodePort", ""},
	{"service.annotations", "Service quotas", "metadata annotations", ""},
	{"service.labels", "Service quotas", "metadata labels", ""},
	{"serviceAccount.annotations", "ServiceAccount quotas", "metadata annotations", ""},
	{"networkPolicy.from", "NetworkPolicy quotas", "spec ingress 0 from", ""},
	{"networkPolicy.extraEgress", "NetworkPolicy quotas", "spec egress", ""},
	{"serviceMonitor.additionalLabels", "ServiceMonitor quotas", "metadata labels", ""},
	{"serviceMonitor.annotations", "ServiceMonitor quotas", "metadata annotations", ""},
	{"serviceMonitor.interval", "ServiceMonitor quotas", "spec endpoints 0 interval", ""},
	{"serviceMonitor.scrapeTimeout", "ServiceMonitor quotas", "spec endpoints 0 scrapeTimeout", ""},
	{"serviceMonitor.scheme", "ServiceMonitor quotas", "spec endpoints 0 scheme", ""},
	{"serviceMonitor.tlsConfig", "ServiceMonitor quotas", "spec endpoints 0 tlsConfig", ""},
	{"serviceMonitor.basicAuth", "ServiceMonitor quotas", "spec endpoints 0 basicAuth", ""},
	{"serviceMonitor.relabelings", "ServiceMonitor quotas", "spec endpoints 0 relabelings", ""},
	{"serviceMonitor.metricRelabelings", "ServiceMonitor quotas", "spec endpoints 0 metricRelabelings", ""},
	{"prometheusRule.additionalLabels", "PrometheusRule quotas", "metadata labels", ""},
	{"prometheusRule.annotations", "PrometheusRule quotas", "metadata annotations", ""},
	{"prometheusRule.rules", "PrometheusRule quotas", "spec groups quotas rules", ""},
	{"dashboards.labels", "ConfigMap quotas-dashboard-quotas", "metadata labels", ""},
	{"dashboards.annotations", "ConfigMap quotas-dashboard-exporter", "metadata annotations", ""},
	{"deploymentAnnotations", "Deployment quotas", "metadata annotations", ""},
	{"podAnnotations", "Deployment quotas", "spec template metadata annotations", ""},
	{"podLabels", "Deployment quotas", "spec template metadata labels", ""},
	{"podSecurityContext", "Deployment quotas", "spec template spec securityContext", ""},
	{"securityContext", "Deployment quotas", "spec template spec containers 0 securityContext", ""},
	{"terminationGracePeriodSeconds", "Deployment quotas", "spec template spec terminationGracePeriodSeconds", ""},
	{"priorityClassName", "Deployment quotas", "spec template spec priorityClassName", ""},
	{"hostAliases", "Deployment quotas", "spec template spec hostAliases", ""},
	{"dnsPolicy", "Deployment quotas", "spec template spec dnsPolicy", ""},
	{"dnsConfig", "Deployment quotas", "spec template spec dnsConfig", ""},
	{"nodeSelector", "Deployment quotas", "spec template spec nodeSelector", ""},
	{"tolerations", "Deployment quotas", "spec template spec tolerations", ""},
	{"affinity", "Deployment quotas", "spec template spec affinity", ""},
	{"topologySpreadConstraints", "Deployment quotas", "spec template spec topologySpreadConstraints", ""},
	{"podDisruptionBudget", "PodDisruptionBudget quotas", "spec", ""},
	{"extraManifests", "ConfigMap quotas-extra", "data key", "value"},
}

// apart are values that exclude others: what to set, and the expected result. "none" means that an object or a part does not exist.
var apart = []struct{ set, object, path, text string }{
	{"nameOverride=quotas", "Deployment cloud-quota-exporter-quotas", "spec selector matchLabels app.kubernetes.io/name", "quotas"},
	{"namespaceOverride=other", "Deployment cloud-quota-exporter", "metadata namespace", "other"},
	{"image.digest=sha256:" + digest, "Deployment cloud-quota-exporter", "spec template spec containers 0 image", "cloud_quota_exporter@sha256:" + digest},
	{"global.imageRegistry=a.example.com,image.registry=b.example.com", "Deployment cloud-quota-exporter", "spec template spec containers 0 image", "a.example.com/cloud_quota_exporter:latest"},
	{"global.imagePullSecrets[0].name=default-secret", "Deployment cloud-quota-exporter", "spec template spec imagePullSecrets 0 name", "default-secret"},
	{"existingConfigMap=mine", "Deployment cloud-quota-exporter", "spec template spec volumes config configMap name", "mine"},
	{"existingConfigMap=mine", "Deployment cloud-quota-exporter", "spec template metadata annotations", "none"},
	{"existingConfigMap=mine", "ConfigMap cloud-quota-exporter", "kind", "none"},
	{"existingConfigSecret=mine", "Deployment cloud-quota-exporter", "spec template spec volumes config secret secretName", "mine"},
	{"existingConfigSecret=mine", "ConfigMap cloud-quota-exporter", "kind", "none"},
	{"web.routePrefix=/quotas/", "Deployment cloud-quota-exporter", "spec template spec containers 0 args 2", "--web.route-prefix=/quotas/"},
	{"web.routePrefix=/quotas/", "Deployment cloud-quota-exporter", "spec template spec containers 0 readinessProbe httpGet path", "/quotas/-/ready"},
	{"web.externalURL=/quotas/", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe httpGet path", "/quotas/-/healthy"},
	{"web.routePrefix=/,web.externalURL=https://example.com/q", "ServiceMonitor cloud-quota-exporter", "spec endpoints 0 path", "none"},
	{"web.existingSecret=web", "Deployment cloud-quota-exporter", "spec template spec containers 0 args 2", "--web.config.file=/etc/cloud_quota_exporter_web/web.yml"},
	{"web.existingSecret=web", "Deployment cloud-quota-exporter", "spec template spec containers 0 volumeMounts web mountPath", "/etc/cloud_quota_exporter_web"},
	{"web.existingSecret=web", "Deployment cloud-quota-exporter", "spec template spec volumes web secret secretName", "web"},
	{"web.existingSecret=web", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe exec command", "[/cloud_quota_exporter healthcheck --web.config.file=/etc/cloud_quota_exporter_web/web.yml]"},
	{"web.existingSecret=web", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe timeoutSeconds", "6"},
	{"web.existingSecret=web,probes.liveness.timeoutSeconds=9", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe timeoutSeconds", "9"},
	{"probes.type=exec,web.routePrefix=/q", "Deployment cloud-quota-exporter", "spec template spec containers 0 readinessProbe exec command", "[/cloud_quota_exporter healthcheck --web.route-prefix=/q]"},
	{"web.existingSecret=web,probes.httpHeaders[0].name=A,probes.httpHeaders[0].value=b", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe httpGet port", "http"},
	{"web.existingSecret=web,probes.type=httpGet", "Deployment cloud-quota-exporter", "spec template spec containers 0 livenessProbe httpGet port", "http"},
	{"probes.type=tcpSocket", "Deployment cloud-quota-exporter", "spec template spec containers 0 readinessProbe tcpSocket port", "http"},
	{"probes.type=tcpSocket", "Deployment cloud-quota-exporter", "spec template spec containers 0 readinessProbe httpGet", "none"},
	{"probes.scheme=HTTPS", "Deployment cloud-quota-exporter", "spec template spec containers 0 readinessProbe httpGet scheme", "HTTPS"},
	{"resources.limits=null", "Deployment cloud-quota-exporter", "spec template spec containers 0 env", "none"},
	{"resources.limits.memory=1073741824", "Deployment cloud-quota-exporter", "spec template spec containers 0 env 0 value", "921MiB"},
	{"resources.limits.memory=500000Ki", "Deployment cloud-quota-exporter", "spec template spec containers 0 env 0 value", "439MiB"},
	{"extraEnv[0].name=GOMEMLIMIT,extraEnv[0].value=1GiB", "Deployment cloud-quota-exporter", "spec template spec containers 0 env 0 value", "1GiB"},
	{"extraEnv[0].name=GOMEMLIMIT,extraEnv[0].value=1GiB", "Deployment cloud-quota-exporter", "spec template spec containers 0 env 1", "none"},
	{"podLabels.app\\.kubernetes\\.io/name=other", "Deployment cloud-quota-exporter", "spec template metadata labels app.kubernetes.io/name", "cloud-quota-exporter"},
	{"serviceAccount.create=false", "ServiceAccount cloud-quota-exporter", "kind", "none"},
	{"serviceAccount.create=false", "Deployment cloud-quota-exporter", "spec template spec serviceAccountName", "default"},
	{"serviceAccount.name=mine", "Deployment cloud-quota-exporter", "spec template spec serviceAccountName", "mine"},
	{"serviceAccount.name=mine", "ServiceAccount mine", "automountServiceAccountToken", "false"},
	{"networkPolicy.enabled=false", "NetworkPolicy cloud-quota-exporter", "kind", "none"},
	{"serviceMonitor.enabled=false", "ServiceMonitor cloud-quota-exporter", "kind", "none"},
	{"serviceMonitor.interval=1d", "ServiceMonitor cloud-quota-exporter", "spec endpoints 0 interval", "1d"},
	{"serviceMonitor.interval=,serviceMonitor.scrapeTimeout=", "ServiceMonitor cloud-quota-exporter", "spec endpoints 0 interval", "none"},
	{"serviceMonitor.interval=,serviceMonitor.scrapeTimeout=", "ServiceMonitor cloud-quota-exporter", "spec endpoints 0 scrapeTimeout", "none"},
	{"serviceMonitor.namespace=other", "ServiceMonitor cloud-quota-exporter", "metadata namespace", "other"},
	{"serviceMonitor.namespace=other", "ServiceMonitor cloud-quota-exporter", "spec namespaceSelector matchNames 0", "monitoring"},
	{"prometheusRule.enabled=false", "PrometheusRule cloud-quota-exporter", "kind", "none"},
	{"prometheusRule.namespace=other", "PrometheusRule cloud-quota-exporter", "metadata namespace", "other"},
	{"dashboards.enabled=false", "ConfigMap cloud-quota-exporter-dashboard-quotas", "kind", "none"},
	{"dashboards.namespace=other", "ConfigMap cloud-quota-exporter-dashboard-quotas", "metadata namespace", "other"},
	{"runbookBaseURL=https://example.com/docs/", "PrometheusRule cloud-quota-exporter", firstAlert + "runbook_url", "https://example.com/docs/runbooks/CloudQuotaNearlyExhausted.md"},
	{"web.externalURL=https://example.com/q", "PrometheusRule cloud-quota-exporter", firstAlert + "runbook_url", "https://example.com/q/runbooks/CloudQuotaNearlyExhausted.md"},
	{"extraManifests[0].apiVersion=v1,extraManifests[0].kind=Service,extraManifests[0].metadata.name=extra-{{ .Release.Name }}", "Service extra-cloud-quota-exporter", "kind", "Service"},
}

const (
	digest     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	firstAlert = "spec groups 0 rules CloudQuotaNearlyExhausted annotations "
)

// TestChartValues sets each value, and checks its location in the objects. A value without a row is an error.
func TestChartValues(t *testing.T) {
	rendered := func(t *testing.T, args ...string) map[string]map[string]any {
		return byName(t, release(t, "cloud-quota-exporter", args...), func(map[string]any) {})
	}
	set := map[string]bool{}
	full, values := rendered(t, "--values="+chart+"/ci/full-values.yaml"), readYAML(t, chart+"/ci/full-values.yaml")
	for _, row := range inFull {
		set[row.key] = true
		want := find(values, strings.Split(row.key, "."))
		if want == nil {
			t.Errorf("%s: ci/full-values.yaml does not set it", row.key)
		}
		if row.text != "" {
			want = strings.Replace(row.text, "%s", fmt.Sprint(want), 1)
		}
		if got := find(full[row.object], strings.Fields(row.path)); !contains(got, want) {
			t.Errorf("%s: %s has %q:\n%s\nwant in it\n%s", row.key, row.object, row.path, text(got), text(want))
		}
	}
	for _, row := range apart {
		for pair := range strings.SplitSeq(row.set, ",") {
			key, _, _ := strings.Cut(pair, "=")
			set[regexp.MustCompile(`\[.*|\.[^.]*\\.*`).ReplaceAllString(key, "")] = true
		}
		t.Run(row.set+" "+row.object, func(t *testing.T) {
			t.Parallel()
			got := "none"
			if value := find(rendered(t, "--set="+row.set)[row.object], strings.Fields(row.path)); value != nil {
				got = fmt.Sprint(value)
			}
			if got != row.text {
				t.Errorf("%s has %q: %s, want %s", row.object, row.path, got, row.text)
			}
		})
	}
	for key := range keys(readYAML(t, chart+"/values.yaml")) {
		isSet := func(k string) bool { return k == key || strings.HasPrefix(key, k+".") }
		if !slices.ContainsFunc(sortedKeys(set), isSet) {
			t.Errorf("no row sets %s", key)
		}
	}
}

// TestChartRunbooks compares the chart with and without an address of the runbooks. Only the links in rules and dashboards change.
func TestChartRunbooks(t *testing.T) {
	without, err := template(t)
	if err != nil {
		t.Fatal(err)
	}
	with, err := template(t, "--set=runbookBaseURL=https://git.example.com/docs")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`([ "])docs/runbooks`)
	if n := len(links.FindAll(without, -1)); n <= 6 {
		t.Errorf("%d links, want three of each dashboard and one of each alert", n)
	}
	if want := links.ReplaceAll(without, []byte("${1}https://git.example.com/docs/runbooks")); !bytes.Equal(with, want) {
		t.Error("not exactly the links have changed")
	}
}

// TestChartEmptyValues empties each value, as a key of which everything below it is a comment: the chart works without it, or names it.
func TestChartEmptyValues(t *testing.T) {
	values := readYAML(t, chart+"/values.yaml")
	all := keys(values)
	for section := range values {
		all[section] = true
	}
	for key := range all {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			out, err := template(t, "--set="+key+"=null")
			last := key[strings.LastIndex(key, ".")+1:]
			if err != nil && !strings.Contains(err.Error(), "missing property '"+last+"'") || bytes.Contains(out, []byte("<nil>")) {
				t.Error(err)
			}
		})
	}
}

// TestChartRejects sets values that cannot work.
func TestChartRejects(t *testing.T) {
	for set, says := range map[string]string{
		"imge.tag=1":                                 "additional properties 'imge' not allowed",
		"image.tg=1":                                 "additional properties 'tg' not allowed",
		"image.pullPolicy=Sometimes":                 "/image/pullPolicy",
		"image.digest=1234":                          "/image/digest",
		"replicas=-1":                                "/replicas",
		"web.externalURL=example.com":                "/web/externalURL",
		"web.routePrefix=quotas":                     "/web/routePrefix",
		"probes.type=udp":                            "/probes/type",
		"probes.readiness.period=1":                  "additional properties 'period' not allowed",
		"log.level=trace":                            "/log/level",
		"extraArgs[0]=x":                             "/extraArgs/0",
		"extraArgs[0]=--web.route-prefix=/q":         "extraArgs: set the value web.routePrefix",
		"extraArgs[0]=--web.listen-address=:9000":    "extraArgs: set the value service.port",
		"extraArgs[0]=--log.level=debug":             "extraArgs: set the value log.level",
		"extraArgs[0]=--web.telemetry-path=/m":       "extraArgs: set the value web.telemetryPath",
		"service.port=0":                             "/service/port",
		"extraEnv[0].name=A,extraEnv[0].valeu=b":     "additional properties 'valeu' not allowed",
		"extraEnv[0].name=A,extraEnv[0].value=1":     "/extraEnv/0/value",
		"serviceMonitor.interval=30":                 "/serviceMonitor/interval",
		"serviceMonitor.enable=false":                "additional properties 'enable' not allowed",
		"runbookBaseURL=docs":                        "/runbookBaseURL",
		"terminationGracePeriodSeconds=10":           "/terminationGracePeriodSeconds",
		"config=null":                                "missing property 'config'",
		"existingConfigMap=a,existingConfigSecret=b": "set existingConfigMap or existingConfigSecret, not both",
	} {
		if _, err := template(t, "--set="+set); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", set, err, says)
		}
	}
}

// TestChartPackage packs the chart. The package contains the shipped rules and dashboards, to which the chart has symbolic links. If links are not
// followed, the chart shows what to do.
func TestChartPackage(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(tool(t, "helm"), "package", "--destination="+dir, chart); err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Glob(dir + "/*.tgz")
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages: %v, %v", packages, err)
	}
	want, err := template(t)
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(tool(t, "helm"), "template", "cloud-quota-exporter", packages[0], "--namespace=monitoring")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the package and the directory render differently: %v", err)
	}
	for name, broken := range map[string]func(path, target string) error{
		"links omitted": func(string, string) error { return nil },
		"links as text": func(path, target string) error { return os.WriteFile(path, []byte(target), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(chart)); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"files/rules.yml", "files/dashboards"} {
				path := filepath.Join(copied, file)
				target, err := os.Readlink(path)
				if err = errors.Join(err, os.Remove(path), broken(path, target)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := run(tool(t, "helm"), "template", "cloud-quota-exporter", copied)
			if err == nil || !strings.Contains(err.Error(), "is a symbolic link, and was not followed. Run helm package") {
				t.Errorf("got %v, want the remedy", err)
			}
		})
	}
}

// TestChartInAnother renders a chart that depends on this one, with a condition and the values that it has for all of its charts.
func TestChartInAnother(t *testing.T) {
	parent := t.TempDir()
	write(t, parent+"/Chart.yaml", `
apiVersion: v2
name: monitoring
version: 1.0.0
dependencies: [{name: cloud-quota-exporter, version: ">=0", condition: cloud-quota-exporter.enabled}]
`)
	if _, err := run(tool(t, "helm"), "package", "--destination="+parent+"/charts", chart); err != nil {
		t.Fatal(err)
	}
	for enabled, want := range map[string]string{
		"true": "imagePullSecrets:\n        - name: swr\n", "false": "",
	} {
		out, err := run(tool(t, "helm"), "template", "monitoring", parent, "--set=cloud-quota-exporter.enabled="+enabled,
			"--set=global.imagePullSecrets[0]=swr", "--set=global.imageRegistry=registry.example.com")
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "kind: Deployment") != (enabled == "true") {
			t.Errorf("enabled: %s: %v\n%.500s", enabled, err, out)
		}
	}
}

// find returns the value at a path of keys, names, and indices.
func find(value any, path []string) any {
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil {
				i = slices.IndexFunc(v, func(e any) bool { return at(e, "name") == key || at(e, "alert") == key })
			}
			if i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// contains reports whether a value contains another: all entries of a map, or all elements of a list in any order.
func contains(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		if len(w) == 0 {
			return reflect.DeepEqual(got, want)
		}
		g, _ := got.(map[string]any)
		for key, value := range w {
			if !contains(g[key], value) {
				return false
			}
		}
		return true
	case []any:
		g, _ := got.([]any)
		for _, value := range w {
			if !slices.ContainsFunc(g, func(e any) bool { return contains(e, value) }) {
				return false
			}
		}
		return len(w) > 0
	}
	if list, ok := got.([]any); ok {
		return slices.ContainsFunc(list, func(e any) bool { return contains(e, want) })
	}
	return got != nil && fmt.Sprint(got) == fmt.Sprint(want)
}

// keys returns the keys of values, with dots. A free mapping, such as labels, is one key.
func keys(values map[string]any) map[string]bool {
	found := map[string]bool{}
	for key, value := range values {
		inner, _ := value.(map[string]any)
		if slices.Contains([]string{"config", "resources", "podSecurityContext", "securityContext", "labels"}, key) || len(inner) == 0 {
			found[key] = true
			continue
		}
		for k := range keys(inner) {
			found[key+"."+k] = true
		}
	}
	return found
}

func readYAML(t *testing.T, file string) (values map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, &values)
	}
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func sortedKeys(m map[string]bool) (sorted []string) {
	for key := range m {
		sorted = append(sorted, key)
	}
	slices.Sort(sorted)
	return sorted
}
