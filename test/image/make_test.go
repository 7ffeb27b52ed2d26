package image

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// TestMakeImage pushes the image to a registry, pulls it from there, and runs it. Its name is written to the manifests.
func TestMakeImage(t *testing.T) {
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	dir, at := source(t), strings.TrimPrefix(server.URL, "http://")
	flags, err := buildFlags()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("make", "-C", dir, "image", "REGISTRY="+at+"/team", "TAG=1.2.3", "VERSION="+version,
		"BUILDER=buildah "+strings.Join(storage, " "), "BUILD_FLAGS="+strings.Join(flags, " "), "PUSH_FLAGS=--tls-verify=false")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := at + "/team/cloud_quota_exporter"
	if _, err := command("podman", "rmi", "--force", name+":1.2.3"); err != nil {
		t.Fatal(err)
	}
	if _, err := command("podman", "pull", "--tls-verify=false", name+":1.2.3"); err != nil {
		t.Fatal(err)
	}
	if out, err := command("podman", append(confined, name+":1.2.3", "--version")...); err != nil || !strings.Contains(out, "version "+version) {
		t.Errorf("%v\n%s", err, out)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "deploy/k8s/image/kustomization.yaml"))
	if err != nil || !strings.Contains(string(manifest), "newName: "+name+"\n    newTag: \"1.2.3\"\n") {
		t.Errorf("%v\n%s", err, manifest)
	}
}
