package k8s

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	core "k8s.io/api/core/v1"
)

// TestRunbooksAddress builds an overlay with the example of docs/kubernetes.md. Alerts and dashboards link to the address, and nothing else changes.
func TestRunbooksAddress(t *testing.T) {
	document, err := os.ReadFile(root + "docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n([^`]*deploy/k8s/runbooks.yaml\n)```").FindSubmatch(document)
	if example == nil {
		t.Fatal("docs/kubernetes.md has no example")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "cloud_quota_exporter/deploy"), os.DirFS(root+"deploy")); err != nil {
		t.Fatal(err)
	}
	overlay := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [cloud_quota_exporter/deploy/k8s/base]\n" + string(example[1])
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	before, after := build(t, root+"deploy/k8s/base"), build(t, dir)
	if len(after) != len(before) {
		t.Fatalf("%d objects, want the %d of the base", len(after), len(before))
	}
	links := 0
	to := func(text string) string {
		links++
		return strings.Replace(text, "docs/", "https://exporter.example.com/", 1)
	}
	for _, rule := range all[monitoring.PrometheusRule](before) {
		for _, group := range rule.Spec.Groups {
			for _, r := range group.Rules {
				if r.Alert != "" {
					r.Annotations["runbook_url"] = to(r.Annotations["runbook_url"])
				}
			}
		}
	}
	for _, m := range all[core.ConfigMap](before) {
		for name, text := range m.Data {
			if strings.HasSuffix(name, ".json") {
				m.Data[name] = regexp.MustCompile(`"docs/runbooks"`).ReplaceAllStringFunc(text, to)
			}
		}
	}
	for i, o := range before {
		if !reflect.DeepEqual(decoded(t, after[i].typed), decoded(t, o.typed)) {
			t.Errorf("%s %s:\n%s", o.kind, o.name, after[i].text)
		}
	}
	if links <= 6 {
		t.Errorf("%d links, want three of each dashboard and one of each alert", links)
	}
}

// decoded returns an object with the JSON in a ConfigMap as values, because kustomize formats it differently.
func decoded(t *testing.T, typed any) any {
	t.Helper()
	m, ok := typed.(*core.ConfigMap)
	if !ok {
		return typed
	}
	values := map[string]any{}
	for name, text := range m.Data {
		values[name] = text
		if strings.HasSuffix(name, ".json") {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			values[name] = value
		}
	}
	return []any{m.ObjectMeta, values}
}
