package k8s

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// chart is the Helm chart.
const chart = root + "deploy/helm/cloud-quota-exporter"

// examples are the example files with values in the chart.
func examples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples of values: %v", err)
	}
	return files
}

// template renders the chart with values.
func template(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return run(tool(t, "helm"), append([]string{"template", "cloud-quota-exporter", chart, "--namespace=monitoring"}, args...)...)
}

// release returns the objects of a release of the chart.
func release(t *testing.T, name string, args ...string) []object {
	t.Helper()
	out, err := run(tool(t, "helm"), append([]string{"template", name, chart, "--namespace=monitoring"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(withoutComments(out))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestChart renders the chart with its defaults and each example. Helm's linter reports nothing, the objects match the API's types and the operator's
// CRDs, and the exporter works with the flags, the configuration, and the probes of its Deployment.
func TestChart(t *testing.T) {
	for _, values := range append(examples(t), chart+"/values.yaml") {
		t.Run(filepath.Base(values), func(t *testing.T) {
			if out, err := run(tool(t, "helm"), "lint", "--strict", chart, "--values="+values); err != nil || bytes.Contains(out, []byte("WARN")) {
				t.Errorf("lint: %v\n%s", err, out)
			}
			objects := release(t, "cloud-quota-exporter", "--values="+values)
			if strings.Contains(values, "basic-auth") {
				return // TestProbesWithAPassword runs it
			}
			for _, complaint := range append(examine(t, objects), scraped(t, objects)...) {
				t.Error(complaint)
			}
		})
	}
}

// TestChartIsTheBase compares the chart with the base, and each example with the overlay of its name or the example of docs/kubernetes.md. The
// objects are the same, except for the differences that ofChart and ofKustomize remove.
func TestChartIsTheBase(t *testing.T) {
	pairs := map[string][]object{
		chart + "/values.yaml":               build(t, root+"deploy/k8s/base"),
		chart + "/ci/basic-auth-values.yaml": overlay(t, on("base", example(t, "healthcheck")), nil),
	}
	overlays, err := filepath.Glob(root + "deploy/k8s/overlays/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range overlays {
		if name := filepath.Base(dir); name != "shards" { // which is more than one exporter
			pairs[chart+"/ci/"+name+"-values.yaml"] = build(t, dir)
		}
	}
	for values, built := range pairs {
		t.Run(filepath.Base(values), func(t *testing.T) {
			got, want := byName(t, release(t, "cloud-quota-exporter", "--values="+values), ofChart), byName(t, built, ofKustomize)
			for name := range merged(got, want) {
				if !reflect.DeepEqual(got[name], want[name]) {
					t.Errorf("%s: the chart has\n%s\nwant\n%s", name, text(got[name]), text(want[name]))
				}
			}
		})
	}
}

// ofChart removes what only a chart has: Helm's namespace and labels, and a checksum that replaces the pod when the configuration changes.
func ofChart(o map[string]any) {
	metadata := o["metadata"].(map[string]any)
	labels := metadata["labels"].(map[string]any)
	for _, name := range []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"} {
		delete(labels, name)
	}
	if o["kind"] != "Service" { // the base has these on the Service only, where the ServiceMonitor selects them
		delete(labels, "app.kubernetes.io/name")
		delete(labels, "app.kubernetes.io/instance")
	}
	if len(labels) == 0 {
		delete(metadata, "labels")
	}
	if metadata["namespace"] != "monitoring" {
		metadata["namespace"] = fmt.Sprintf("%v, want that of the release", metadata["namespace"])
	} else {
		delete(metadata, "namespace")
	}
	if o["kind"] == "Deployment" {
		pod := at(o, "spec", "template", "metadata").(map[string]any)
		annotations := pod["annotations"].(map[string]any)
		delete(annotations, "checksum/config")
		if len(annotations) == 0 {
			delete(pod, "annotations")
		}
	}
}

// hash is the suffix that kustomize gives the name of a ConfigMap, to replace the pod when the configuration changes.
var hash = regexp.MustCompile(`^(cloud-quota-exporter)-[a-z0-9]{10}$`)

// ofKustomize removes what only a kustomization has: the hash in the name of the configuration. The names of dashboards do not start with that of a
// release.
func ofKustomize(o map[string]any) {
	metadata := o["metadata"].(map[string]any)
	switch {
	case o["kind"] == "Deployment":
		for _, volume := range at(o, "spec", "template", "spec", "volumes").([]any) {
			if m, ok := at(volume, "configMap").(map[string]any); ok {
				m["name"] = hash.ReplaceAllString(m["name"].(string), "$1")
			}
		}
	case o["kind"] == "ConfigMap":
		name := hash.ReplaceAllString(metadata["name"].(string), "$1")
		metadata["name"] = strings.Replace(name, "cloud-quota-dashboard-", "cloud-quota-exporter-dashboard-", 1)
	}
}

// byName reads objects, adjusts each, and returns them by kind and name. The configuration is compared as values, without comments.
func byName(t *testing.T, made []object, adjust func(map[string]any)) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for _, m := range made {
		var o map[string]any
		if err := yaml.Unmarshal(m.text, &o); err != nil {
			t.Fatal(err)
		}
		adjust(o)
		sortNamed(o)
		if data, ok := o["data"].(map[string]any); ok && data["config.yml"] != nil {
			var config any
			if err := yaml.Unmarshal([]byte(data["config.yml"].(string)), &config); err != nil {
				t.Fatal(err)
			}
			data["config.yml"] = config
		}
		objects[fmt.Sprint(o["kind"], " ", at(o, "metadata", "name"))] = o
	}
	return objects
}

// sortNamed sorts lists whose elements have names, such as volumes, because their order has no meaning.
func sortNamed(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			sortNamed(inner)
		}
	case []any:
		slices.SortStableFunc(v, func(a, b any) int {
			nameA, _ := at(a, "name").(string)
			nameB, _ := at(b, "name").(string)
			return strings.Compare(nameA, nameB)
		})
		for _, inner := range v {
			sortNamed(inner)
		}
	}
}

// withoutComments removes the lines in which Helm names the source of each object.
func withoutComments(text []byte) []byte {
	return bytes.TrimPrefix(regexp.MustCompile(`(?m)^# Source: .*\n`).ReplaceAll(text, nil), []byte("---\n"))
}

// at returns the value at a path of keys and indices.
func at(value any, path ...any) any {
	for _, key := range path {
		switch k := key.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[k]
		case int:
			l, _ := value.([]any)
			if k >= len(l) {
				return nil
			}
			value = l[k]
		}
	}
	return value
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func text(value any) string {
	out, err := yaml.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(out)
}
