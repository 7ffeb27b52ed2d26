package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// deploy is the directory of what users get.
const deploy = "../../deploy/"

// alertmanager is a running Alertmanager with the shipped configuration and template.
type alertmanager struct {
	at    string // the address at which it listens
	inbox *inbox // what it sends
}

// startAlertmanager changes of the shipped configuration how long groups wait, and the addresses of receivers. Those for mail and chat,
// which are shipped as comments, are in force beside the webhook.
func startAlertmanager(t *testing.T, wait time.Duration) *alertmanager {
	t.Helper()
	dir, in := t.TempDir(), newInbox(t)
	save := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := replace(t, readFile(t, deploy+"alertmanager/alertmanager.yml"),
		`(?m)^    # `, "    ",
		`(group_(?:wait|interval)): \d+\w`, "$1: "+wait.String(),
		`http://127\.0\.0\.1:5001`, in.http,
		`/etc/alertmanager/cloud_quota_chat_url`, save("chat_url", in.http+"/chat/cloud_quota"),
		`smarthost: .*`, "smarthost: "+in.smtp+"\n        require_tls: false")
	save("cloud_quota.tmpl", readFile(t, deploy+"alertmanager/cloud_quota.tmpl"))
	p := startProcess(t, alertmanagerBinary, "--config.file="+save("alertmanager.yml", config), "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--web.external-url=http://alertmanager.example.com:9093", "--cluster.listen-address=")
	return &alertmanager{at: p.address(t), inbox: in}
}

// replace replaces what expressions find, all of which must find something. Of each pair, the second is the replacement.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		expr := regexp.MustCompile(pair[0])
		if !expr.MatchString(text) {
			t.Fatalf("there is no %s in\n%s", expr, text)
		}
		text = expr.ReplaceAllString(text, pair[1])
	}
	return text
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alerted runs a Prometheus that scrapes an exporter, evaluates the shipped rules and sends alerts, until it knows where to. Of the rules,
// only durations are changed: a minute of them takes as long as stated.
func (a *alertmanager) alerted(t *testing.T, exporter string, minute time.Duration) *prometheus {
	t.Helper()
	durations := regexp.MustCompile(`(?m)^(\s+(?:interval|for|keep_firing_for): )(\w+)$`)
	rules := durations.ReplaceAllStringFunc(readFile(t, deploy+"prometheus/rules.yml"), func(line string) string {
		m := durations.FindStringSubmatch(line)
		d, err := time.ParseDuration(m[2])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s%dms", m[1], int64(d.Minutes()*float64(minute.Milliseconds())))
	})
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPrometheus(t, fmt.Sprintf("rule_files: [%q]\nalerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", file, a.at)+
		scraping(exporter, time.Second))
	eventually(t, "Prometheus knows Alertmanager", func() (string, bool) {
		var data struct{ ActiveAlertmanagers []any }
		err := p.get("/api/v1/alertmanagers", nil, &data)
		return fmt.Sprint(err), len(data.ActiveAlertmanagers) == 1
	})
	return p
}

// alert is an alert in Alertmanager's API.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// nameOf writes the labels by which alerts differ.
func nameOf(labels map[string]string) string {
	words := []string{labels["alertname"], labels["severity"]}
	for _, label := range []string{"account", "job", "instance", "project", "service", "resource_type"} {
		if value := labels[label]; value != "" {
			words = append(words, label+"="+value)
		}
	}
	return strings.Join(words, " ")
}

// labelled returns the labels of a name: "<alertname> <severity> <label>=<value>...".
func labelled(name string) map[string]string {
	words := strings.Fields(name)
	labels := map[string]string{"alertname": words[0], "severity": words[1]}
	for _, word := range words[2:] {
		label, value, _ := strings.Cut(word, "=")
		labels[label] = value
	}
	return labels
}

// post sends alerts as Prometheus does.
func (a *alertmanager) post(t *testing.T, alerts []alert) {
	t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+a.at+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager refused alerts: %s", resp.Status)
	}
}

// has waits until Alertmanager has these alerts and no others: names, with " < " and the alertname of what silences one.
func (a *alertmanager) has(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, "alerts and what silences them", func() (string, bool) {
		got, err := a.alerts()
		if err != nil {
			return err.Error(), false
		}
		return "-got +want\n" + difference(strings.Join(got, "\n"), strings.Join(want, "\n")), slices.Equal(got, want)
	})
}

func (a *alertmanager) alerts() ([]string, error) {
	resp, err := http.Get("http://" + a.at + "/api/v2/alerts")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []struct {
		Fingerprint string
		Labels      map[string]string
		Status      struct{ InhibitedBy []string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, err
	}
	alertnames := map[string]string{}
	for _, one := range all {
		alertnames[one.Fingerprint] = one.Labels["alertname"]
	}
	var lines []string
	for _, one := range all {
		line := nameOf(one.Labels)
		for _, by := range one.Status.InhibitedBy {
			line += " < " + alertnames[by]
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, nil
}
