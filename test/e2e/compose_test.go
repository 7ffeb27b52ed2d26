package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// load reads deploy/compose as docker compose does, with the profiles of its command line.
func load(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{deploy + "compose/compose.yml"}, cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles(profiles...))
	if err != nil {
		t.Fatal(err)
	}
	project, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestComposeFile checks what each profile starts: images with fixed versions, files that exist, and ports that other machines cannot reach.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	for profile, exporter := range map[string]string{"": "demo", "demo": "demo", "account": "account"} {
		var profiles []string
		if profile != "" {
			profiles = []string{profile}
		}
		project := load(t, profiles...)
		want := []string{"alertmanager", exporter, "grafana", "prometheus"}
		slices.Sort(want)
		if names := project.ServiceNames(); !slices.Equal(names, want) {
			t.Errorf("profile %q starts %q, want %q", profile, names, want)
		}
		for _, s := range project.Services {
			if s.Build == nil && !regexp.MustCompile(`^(prom|grafana)/\w+:v?\d+\.\d+\.\d+$`).MatchString(s.Image) {
				t.Errorf("%s: image %s", s.Name, s.Image)
			}
			if s.Build != nil {
				// The memory of deploy/k8s, for as many projects.
				manifest := readFile(t, deploy+"k8s/base/exporter/one/deployment.yaml")
				limit, mib := s.Environment["GOMEMLIMIT"], int(s.MemLimit>>20)
				if limit == nil || !strings.Contains(manifest, "value: "+*limit) || !strings.Contains(manifest, fmt.Sprintf("memory: %dMi\n", mib)) {
					t.Errorf("%s: GOMEMLIMIT %v of %d MiB", s.Name, limit, mib)
				}
				if _, err := os.Stat(filepath.Join(s.Build.Context, "Dockerfile")); err != nil {
					t.Error(err)
				}
			}
			for _, v := range s.Volumes {
				if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && (err != nil || !v.ReadOnly) {
					t.Errorf("%s: %s: %v, read-only %v", s.Name, v.Source, err, v.ReadOnly)
				}
			}
			for _, p := range s.Ports {
				if p.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s at %q", s.Name, p.Published, p.HostIP)
				}
			}
		}
	}
}

// TestComposeCommands checks that the profiles and services in the document exist.
func TestComposeCommands(t *testing.T) {
	t.Parallel()
	commands := regexp.MustCompile(`docker compose (?:-f (\S+) )?(?:--profile (\w+) )?(?:up|down|exec (\w+)|run --rm (\w+))\b`).
		FindAllStringSubmatch(readFile(t, "../../docs/getting-started.md"), -1)
	for _, c := range commands {
		if c[1] != "" && c[1] != "deploy/compose/compose.yml" {
			t.Errorf("%s: the file does not exist", c[0])
		}
		project := load(t)
		if c[2] != "" {
			project = load(t, c[2])
		}
		if service := c[3] + c[4]; service != "" && !slices.Contains(project.ServiceNames(), service) || !slices.ContainsFunc(project.ServiceNames(), func(s string) bool { return project.Services[s].Build != nil }) {
			t.Errorf("%s: the services are %q", c[0], project.ServiceNames())
		}
	}
	if len(commands) < 6 {
		t.Errorf("%d commands", len(commands))
	}
}

// containerFiles creates the files of a service in a directory, and returns the command with these paths.
func containerFiles(t *testing.T, s types.ServiceConfig, dir string) []string {
	t.Helper()
	for _, v := range s.Volumes {
		target := filepath.Join(dir, v.Target)
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if info, err := os.Stat(v.Source); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			if err := os.CopyFS(target, os.DirFS(v.Source)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		save(t, target, readFile(t, v.Source))
	}
	var command []string
	for _, arg := range s.Command {
		command = append(command, regexp.MustCompile(`=(/\w)`).ReplaceAllString(arg, "="+dir+"$1"))
	}
	return command
}

// TestComposeDemo runs the commands of deploy/compose without containers, on other ports: Prometheus scrapes the demo and evaluates the shipped
// rules, and Alertmanager receives the alerts.
func TestComposeDemo(t *testing.T) {
	t.Parallel()
	project, dir := load(t), t.TempDir()
	demo := startProcess(t, exporterBinary, append(project.Services["demo"].Command, "--web.listen-address=127.0.0.1:0")...)
	exporterAt := demo.address(t)

	args := containerFiles(t, project.Services["alertmanager"], dir)
	if out, err := exec.CommandContext(t.Context(), amtoolBinary, "check-config", filepath.Join(dir, "etc/alertmanager/alertmanager.yml")).CombinedOutput(); err != nil {
		t.Fatalf("amtool check-config: %v\n%s", err, out)
	}
	alertmanager := startProcess(t, alertmanagerBinary, append(args, "--web.listen-address=127.0.0.1:0")...)
	alertmanagerAt := alertmanager.address(t)

	args = containerFiles(t, project.Services["prometheus"], dir)
	config := filepath.Join(dir, "etc/prometheus/prometheus.yml")
	if out, err := exec.CommandContext(t.Context(), promtoolBinary, "check", "config", "--lint=all", "--lint-fatal", config).CombinedOutput(); err != nil {
		t.Fatalf("promtool check config: %v\n%s", err, out)
	}
	save(t, config, replace(t, readFile(t, config), "exporter:10133", exporterAt, "alertmanager:9093", alertmanagerAt, "15s", "1s"))
	rules := filepath.Join(dir, "etc/prometheus/rules.yml")
	save(t, rules, replace(t, readFile(t, rules), "interval: 2m", "interval: 1s", `for: \d+m`, "for: 1s"))
	server := startProcess(t, prometheusBinary, append(args, "--web.listen-address=127.0.0.1:0")...)
	p := &prometheus{"http://" + server.address(t)}
	eventually(t, "Prometheus is ready", func() (string, bool) {
		status, body, err := get(p.url + "/-/ready")
		return body, err == nil && status == 200
	})
	p.becomes(t, "up", "up 1")
	eventually(t, "Alertmanager has alerts of the demo", func() (string, bool) {
		_, body, err := get("http://" + alertmanagerAt + "/api/v2/alerts")
		return body, err == nil && strings.Contains(body, "CloudQuotaNearlyExhausted") && strings.Contains(body, `"receivers":[{"name":"none"}]`)
	})
}

// TestComposeAccount checks the configuration of the profile "account" with check-config, with keys in place of the secrets.
func TestComposeAccount(t *testing.T) {
	t.Parallel()
	s, dir := load(t, "account").Services["account"], t.TempDir()
	command := containerFiles(t, s, dir)
	config := filepath.Join(dir, "etc/cloud_quota_exporter/config.yml")
	text := readFile(t, config)
	for _, secret := range s.Secrets {
		at := "/run/secrets/" + secret.Source
		text = replace(t, text, at, save(t, filepath.Join(dir, secret.Source), "KEY"))
	}
	save(t, config, text)
	if out, err := exec.CommandContext(t.Context(), exporterBinary, append(command, "check-config")...).CombinedOutput(); err != nil || len(s.Secrets) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestComposeGrafana checks the provisioning of Grafana: the data source is the Prometheus of the file, and the dashboards are in the directories of
// the provider and of the home dashboard.
func TestComposeGrafana(t *testing.T) {
	t.Parallel()
	s, dir := load(t).Services["grafana"], t.TempDir()
	containerFiles(t, s, dir)
	var shipped, source struct {
		DataSources []struct {
			Name, Type, Access, URL string
			JSONData                map[string]string `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	unmarshal(t, deploy+"grafana/provisioning/datasources/prometheus.yml", &shipped)
	unmarshal(t, filepath.Join(dir, "etc/grafana/provisioning/datasources/prometheus.yml"), &source)
	ours, theirs := source.DataSources[0], shipped.DataSources[0]
	if ours.URL != "http://prometheus:9090" || ours.Type != theirs.Type || ours.Access != theirs.Access || ours.JSONData["httpMethod"] != theirs.JSONData["httpMethod"] ||
		!strings.Contains(readFile(t, deploy+"compose/prometheus.yml"), "scrape_interval: "+ours.JSONData["timeInterval"]) {
		t.Errorf("data source %+v, shipped %+v", ours, theirs)
	}
	var provider struct {
		Providers []struct{ Options struct{ Path string } }
	}
	unmarshal(t, filepath.Join(dir, "etc/grafana/provisioning/dashboards/cloud_quota.yml"), &provider)
	home := *s.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	for _, file := range []string{home, provider.Providers[0].Options.Path + "/exporter.json"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// TestComposeInhibitions compares them with those of the shipped configuration.
func TestComposeInhibitions(t *testing.T) {
	t.Parallel()
	var ours, shipped struct {
		Rules []map[string][]string `yaml:"inhibit_rules"`
	}
	unmarshal(t, deploy+"compose/alertmanager.yml", &ours)
	unmarshal(t, shippedAlertmanager, &shipped)
	if len(ours.Rules) == 0 || !reflect.DeepEqual(ours, shipped) {
		t.Errorf("%v\nshipped:\n%v", ours, shipped)
	}
}

func unmarshal(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
