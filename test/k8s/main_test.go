// Package k8s checks the manifests of deploy/k8s: that kustomize builds them, that every object is what the API's types and the operator's
// CRDs take, and that what they say of the program is true.
//
//	go -C test/k8s test -count=1 ./...
//
// -update writes deploy/k8s/base/rules/prometheusrule.yaml anew, of deploy/prometheus/rules.yml.
package k8s

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml anew")

const root = "../../"

// What TestMain makes: the program, and the operator's CRDs.
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
	// The options with which the operator makes its own.
	_, err := run("go", "tool", "controller-gen", "crd:crdVersions=v1,allowDangerousTypes=true,ignoreUnexportedFields=true",
		"paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1;"+
			"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1", "output:crd:dir="+crds)
	return err
}

// run returns what a command prints.
func run(name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s%s", name, args, err, out.Bytes(), complaints.Bytes())
	}
	return out.Bytes(), nil
}
