package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/democloud"
)

// TestKeyFiles installs key files with the commands of docs/docker.md, and the container fetches quotas with them. It cannot if only root can read
// them.
func TestKeyFiles(t *testing.T) {
	document, err := os.ReadFile("../../docs/docker.md")
	if err != nil {
		t.Fatal(err)
	}
	const at = "/etc/cloud_quota_exporter"
	dir, installed := t.TempDir(), filepath.Join(t.TempDir(), "etc")
	p := cloudtest.Scale(1).Projects()[0]
	for name, text := range map[string]string{
		"access_key": democloud.AccessKey, "secret_key": democloud.SecretKey,
		"config.yml": fmt.Sprintf("accounts:\n  - credentials: {static: {access_key_file: %[1]s/access_key, secret_key_file: %[1]s/secret_key}}\n", at) +
			fmt.Sprintf("    endpoints: {default: %q}\n    projects: [{id: %s, region: %s, name: prod}]\n", cloudAt, p.ID, p.Region),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := regexp.MustCompile(`(?m)^sudo (install .*)$`).FindAllStringSubmatch(string(document), -1)
	if len(commands) != 2 {
		t.Fatalf("docs/docker.md has %d commands", len(commands))
	}
	for _, command := range commands {
		c := exec.Command("sh", "-c", strings.ReplaceAll(command[1], at, installed))
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command[1], err, out)
		}
	}
	volume := "--volume=" + installed + ":" + at + ":ro"
	url := start(t, []string{volume}, "--config.file="+at+"/config.yml")
	if page := get(t, url+"/metrics"); strings.Count(page, "\ncloud_quota_up{") != 5 || !strings.Contains(page, `cloud_quota_account_up{account="default"} 1`) {
		t.Errorf("not everything was fetched:\n%s", page)
	}
	if err := os.Chmod(filepath.Join(installed, "secret_key"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append([]string{}, confined...), volume, built, "--config.file="+at+"/config.yml", "check-config")
	if out, err := command("podman", args...); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("only root can read the key: %v %s", err, out)
	}
}

// TestComposeSecrets creates the secrets of deploy/compose with the commands of docs/getting-started.md. The container can read them as Compose
// mounts them.
func TestComposeSecrets(t *testing.T) {
	document, err := os.ReadFile("../../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```\n(cd deploy/compose\n.*?)docker compose [^`]*```").FindSubmatch(document)
	if commands == nil {
		t.Fatal("docs/getting-started.md has no commands for deploy/compose")
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy/compose"), os.DirFS("../../deploy/compose")); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-ec", strings.ReplaceAll(string(commands[1]), "sudo ", ""))
	c.Dir, c.Env = dir, append(os.Environ(), "HUAWEICLOUD_SDK_AK="+democloud.AccessKey, "HUAWEICLOUD_SDK_SK="+democloud.SecretKey)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir = filepath.Join(dir, "deploy/compose")
	args := append([]string{}, confined...)
	for _, name := range []string{"access_key", "secret_key"} {
		args = append(args, "--volume="+filepath.Join(dir, "secrets", name)+":/run/secrets/"+name+":ro")
	}
	args = append(args, "--volume="+filepath.Join(dir, "account")+":/etc/cloud_quota_exporter:ro", built)
	out, err := command("podman", append(args, "--config.file=/etc/cloud_quota_exporter/config.yml", "check-config")...)
	if err != nil || !strings.Contains(out, "account main") || strings.Contains(out, "chmod") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestHealthcheck runs the health check of the image against a container.
func TestHealthcheck(t *testing.T) {
	if err := build("../..", "docker-format", "--format=docker"); err != nil { // the OCI format has no health checks
		t.Fatal(err)
	}
	check, err := command("podman", "image", "inspect", "--format={{json .HealthCheck}}", "docker-format")
	if want := `"Test":["CMD","/cloud_quota_exporter","healthcheck"]`; err != nil || !strings.Contains(check, want) {
		t.Fatalf("%v: health check %s, want %s", err, check, want)
	}
	address := strings.TrimPrefix(start(t, nil, "demo"), "http://")
	args := append(append([]string{}, confined...), built, "healthcheck")
	if out, err := command("podman", append(args, "--web.listen-address="+address)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command("podman", append(args, "--web.listen-address=127.0.0.1:9")...); err == nil {
		t.Errorf("healthy although nothing listens: %s", out)
	}
}
