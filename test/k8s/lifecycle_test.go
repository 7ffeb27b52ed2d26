package k8s

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// TestCluster applies everything that is shipped to a real API server: each is applied twice, changed, and removed, in a namespace that admits only
// restricted pods. A warning of the API server is an error.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	t.Run("mistakes", c.testMistakes)
	t.Run("docs/helm.md", c.testDocument)
	total := map[string]int{}
	for name, d := range shipped(t, c) {
		t.Run(name, func(t *testing.T) {
			namespace := d.namespace
			if namespace == "" {
				namespace = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(name, "-")
			}
			c.namespace(t, namespace)
			d.apply(t, namespace)
			applied := c.objects(t, namespace)
			if len(applied) == 0 {
				t.Fatal("no objects")
			}
			pods := 0
			if !d.part {
				pods = c.admitPods(t, namespace, applied)
			}
			d.apply(t, namespace)
			if again := c.objects(t, namespace); !maps.Equal(versions(again), versions(applied)) {
				t.Errorf("applied again: %v, want no change: %v", versions(again), versions(applied))
			}
			d.change(t, namespace)
			changed := versions(c.objects(t, namespace))
			for o, version := range versions(applied) {
				if changed[o] == version {
					t.Errorf("%s did not change", o)
				}
			}
			d.remove(t, namespace)
			if left := c.objects(t, namespace); len(left) > 0 {
				t.Errorf("left after the removal: %v", versions(left))
			}
			for o := range applied {
				kind, _, _ := strings.Cut(o, " ")
				total[kind]++
				if d.part && kind == "Deployment" {
					total["Deployment of a part"]++
				}
			}
			total["pods admitted"] += pods
		})
	}
	if total["Deployment"] == 0 || total["pods admitted"] != total["Deployment"]-total["Deployment of a part"] || total["PrometheusRule"] == 0 {
		t.Errorf("applied: %v, want a pod for each Deployment, and rules", total)
	}
	for _, what := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%4d %s", total[what], what)
	}
	t.Logf("%4d warnings of the API server", 0) // each is an error
}

// testMistakes makes mistakes that the API server must report, to prove that it would.
func (c *cluster) testMistakes(t *testing.T) {
	c.namespace(t, "mistakes")
	out, err := run(tool(t, "kubectl"), "kustomize", root+"deploy/k8s/base")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ right, wrong, says string }{
		{"readOnlyRootFilesystem", "readOnlyRootFs", "readOnlyRootFs"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "would violate PodSecurity"},
		{"scrapeTimeout: 25s", "scrapeTimeout: 25 seconds", "spec.endpoints[0].scrapeTimeout"},
		{"port: 10133", "port: 101330", "spec.ports[0].port"},
	} {
		if !strings.Contains(string(out), m.right) {
			t.Fatalf("no %s in it", m.right)
		}
		_, err := c.try(c.kubectlPath, strings.Replace(string(out), m.right, m.wrong, 1), "apply", "--server-side", "--namespace=mistakes", "--filename=-")
		if err == nil || !strings.Contains(err.Error(), m.says) {
			t.Errorf("%s: got %v, want %q", m.wrong, err, m.says)
		}
	}
}

// testDocument runs the commands of docs/helm.md, with the values on that page.
func (c *cluster) testDocument(t *testing.T) {
	document, err := os.ReadFile(root + "docs/helm.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	deploy, err := filepath.Abs(root + "deploy")
	if err = errors.Join(err, os.Symlink(deploy, dir+"/deploy")); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/access_key", "AK")
	write(t, dir+"/secret_key", "SK")
	var applied map[string]kept
	for _, block := range regexp.MustCompile("(?ms)^```(?:yaml\n# (\\S+))?\n(.*?)^```").FindAllSubmatch(document, -1) {
		if file := string(block[1]); file != "" {
			write(t, filepath.Join(dir, file), string(block[2]))
			continue
		}
		for command := range strings.Lines(string(block[2])) {
			if _, err := c.tryIn(dir, "sh", "", "-c", command); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(command, " install ") {
				applied = c.objects(t, "monitoring")
			}
		}
	}
	if image := at(applied["Deployment cloud-quota-exporter"].Spec.Template.Spec, "containers", 0, "image"); image != "registry.example.com/team/cloud_quota_exporter:1.0.0" {
		t.Errorf("the image is %v, want that of the values", image)
	}
	if left := c.objects(t, "monitoring"); len(left) != 1 { // the Secret
		t.Errorf("left after the removal: %v", versions(left))
	}
	c.kubectl(t, "", "delete", "secret", "cloud-quota-exporter-keys", "--namespace=monitoring")
}

// delivery is a way to create objects in a namespace, to change all of them, and to remove them.
type delivery struct {
	namespace             string // if it names one
	part                  bool   // other ones, which use the service account of its pods
	apply, change, remove func(t *testing.T, namespace string)
}

// shipped are all kustomizations, and the chart with each of its examples.
func shipped(t *testing.T, c *cluster) map[string]delivery {
	t.Helper()
	found := map[string]delivery{"helm": c.ofChart()}
	for _, values := range examples(t) {
		found["helm "+strings.TrimSuffix(filepath.Base(values), "-values.yaml")] = c.ofChart("--values=" + values)
	}
	err := fs.WalkDir(os.DirFS(root), "deploy", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) != "kustomization.yaml" {
			return err
		}
		if k := readYAML(t, root+path); k["kind"] != "Component" { // which is a part of others
			d := c.ofKustomization(t, root+filepath.Dir(path))
			d.namespace, _ = k["namespace"].(string)
			d.part = len(all[core.ServiceAccount](build(t, root+filepath.Dir(path)))) == 0
			found[filepath.Dir(path)] = d
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ofKustomization changes the labels of all objects, and the image.
func (c *cluster) ofKustomization(t *testing.T, dir string) delivery {
	t.Helper()
	overlay := t.TempDir()
	base, err := filepath.Abs(dir)
	if err == nil {
		base, err = filepath.Rel(overlay, base)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, overlay+"/kustomization.yaml", fmt.Sprintf(`
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%s]
labels: [{pairs: {example.com/changed: "yes"}}]
images: [{name: cloud_quota_exporter, newName: registry.example.com/cloud_quota_exporter, newTag: 2.0.0}]
`, base))
	kubectl := func(of string, args ...string) func(*testing.T, string) {
		return func(t *testing.T, namespace string) {
			t.Helper()
			c.kubectl(t, "", append(args, "--namespace="+namespace, "--kustomize="+of)...)
		}
	}
	return delivery{
		apply:  kubectl(dir, "apply", "--server-side"),
		change: kubectl(overlay, "apply", "--server-side"),
		remove: kubectl(overlay, "delete"),
	}
}

// ofChart changes the labels of all objects, and the image.
func (c *cluster) ofChart(values ...string) delivery {
	helm := func(args ...string) func(*testing.T, string) {
		return func(t *testing.T, namespace string) {
			t.Helper()
			c.helm(t, append(args, "--namespace="+namespace)...)
		}
	}
	install := append([]string{"upgrade", "--install", "cloud-quota-exporter", chart}, values...)
	return delivery{
		apply:  helm(install...),
		change: helm(slices.Concat(install, []string{`--set=commonLabels.example\.com/changed=yes,image.tag=2.0.0`})...),
		remove: helm("uninstall", "cloud-quota-exporter"),
	}
}

// versions are the resource versions of objects, which every change replaces.
func versions(objects map[string]kept) map[string]string {
	of := map[string]string{}
	for name, o := range objects {
		of[name] = o.Metadata.ResourceVersion
	}
	return of
}
