// Package k8s checks the manifests of deploy/k8s: kustomize builds them, every object matches the API's types and the operator's CRDs, and their
// settings match the program.
//
//	go -C test/k8s test -count=1 ./...
//
// -update writes deploy/k8s/base/rules/prometheusrule.yaml from deploy/prometheus/rules.yml.
package k8s

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml again")

const root = "../../"

// Set by TestMain: the program, and the operator's CRDs.
var program, crds string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cloud_quota_exporter-k8s-")
	if err == nil {
		program, crds = filepath.Join(dir, "cloud_quota_exporter"), filepath.Join(dir, "crds")
		err = prepare()
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare() error {
	if _, err := run("go", "build", "-C", root, "-o", program, "."); err != nil {
		return err
	}
	// The options with which the operator generates its CRDs.
	_, err := run("go", "tool", "controller-gen", "crd:crdVersions=v1,allowDangerousTypes=true,ignoreUnexportedFields=true",
		"paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1;"+
			"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1", "output:crd:dir="+crds)
	return err
}

// run returns the output of a command.
func run(name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s%s", name, args, err, out.Bytes(), complaints.Bytes())
	}
	return out.Bytes(), nil
}

// program starts the exporter with a manifest's flags and configuration, and sends requests to the manifest's ports and paths.
func (c *complaints) program(t *testing.T, d *apps.Deployment, objects []object) {
	t.Helper()
	container := d.Spec.Template.Spec.Containers[0]
	mount, file := mounted(t, d, objects)
	args := slices.Clone(container.Args)
	flag := slices.Index(args, "--config.file="+mount)
	if flag < 0 {
		c.add("%s: the ConfigMap is mounted as %q, the flags are %q", d.Name, mount, args)
		return
	}
	args[flag] = "--config.file=" + file
	if _, err := run(program, append(args, "check-config")...); err != nil && !strings.Contains(err.Error(), "no keys:") { // the keys are in a Secret
		c.add("%s: %v", d.Name, err)
	}
	if p := container.Ports[0].ContainerPort; fmt.Sprint(p) != port(t) {
		c.add("%s: port %d, the program listens at %s", d.Name, p, port(t))
	}
	url, err := serve(t, append(args, "--web.listen-address=127.0.0.1:0"))
	if err != nil {
		c.add("%s: %v", d.Name, err)
		return
	}
	for _, probe := range []*core.Probe{container.ReadinessProbe, container.LivenessProbe} {
		resp, err := http.Get(url + probe.HTTPGet.Path)
		if err != nil {
			c.add("%s: %v", d.Name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || probe.HTTPGet.Port.StrVal != container.Ports[0].Name {
			c.add("%s: probe %s at port %s: %s", d.Name, probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal, resp.Status)
		}
	}
}

// port returns the program's default port.
func port(t *testing.T) string {
	t.Helper()
	help, err := exec.Command(program, "--help").CombinedOutput()
	found := regexp.MustCompile(`--web\.listen-address=:(\d+)`).FindSubmatch(help)
	if err != nil || found == nil {
		t.Fatalf("no port in --help: %v\n%s", err, help)
	}
	return string(found[1])
}

// mounted writes the pod's configuration to a file, and returns its path in the pod and the file.
func mounted(t *testing.T, d *apps.Deployment, objects []object) (at, file string) {
	t.Helper()
	for _, v := range d.Spec.Template.Spec.Volumes {
		for _, m := range all[core.ConfigMap](objects) {
			if v.ConfigMap == nil || m.Name != v.ConfigMap.Name {
				continue
			}
			for _, mount := range d.Spec.Template.Spec.Containers[0].VolumeMounts {
				if mount.Name == v.Name {
					at = filepath.Join(mount.MountPath, "config.yml")
				}
			}
			file = filepath.Join(t.TempDir(), "config.yml")
			if err := os.WriteFile(file, []byte(m.Data["config.yml"]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return at, file
}

// serve starts the program and returns its URL.
func serve(t *testing.T, args []string) (string, error) {
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
			return "http://" + at, nil
		}
	}
	return "", fmt.Errorf("the program is not listening:\n%s", &log)
}
