package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheus is a running Prometheus server.
type prometheus struct{ url string }

// startPrometheus runs a server with a configuration that promtool accepts, and returns when it responds to queries.
func startPrometheus(t *testing.T, config string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	file := save(t, filepath.Join(dir, "prometheus.yml"), config)
	if out, err := exec.CommandContext(t.Context(), promtoolBinary, "check", "config", file).CombinedOutput(); err != nil {
		t.Fatalf("promtool check config: %v\n%s", err, out)
	}
	p := startProcess(t, prometheusBinary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--scrape.discovery-reload-interval=200ms") // by default, the first scrape comes after 5 s
	url := "http://" + p.address(t)
	eventually(t, "Prometheus is ready", func() (string, bool) {
		status, body, err := get(url + "/-/ready")
		return fmt.Sprint(body, err), status == http.StatusOK
	})
	return &prometheus{url}
}

// scraping configures one job, named cloud_quota, with a timeout as long as the interval.
func scraping(address string, interval time.Duration) string {
	return fmt.Sprintf(`
scrape_configs:
  - job_name: cloud_quota
    scrape_interval: %[1]s
    scrape_timeout: %[1]s
    static_configs: [{targets: [%[2]q]}]
`, interval, address)
}

// replica configures an external label that distinguishes servers. Identical servers would scrape at the same time.
func replica(i int) string { return fmt.Sprintf("global: {external_labels: {replica: \"%d\"}}\n", i) }

// series is one series of a result, with one sample or those of a range.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  sample            `json:"value"`
	Values []sample          `json:"values"`
}

// sample has its value in Prometheus's number format.
type sample struct {
	at    float64 // Unix timestamp
	value string
}

// UnmarshalJSON parses a pair of time and value.
func (s *sample) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&s.at, &s.value}) }

// query evaluates an expression now.
func (p *prometheus) query(expr string) ([]series, error) {
	var data result
	err := p.get("/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// now is like query, and requires a result.
func (p *prometheus) now(t *testing.T, expr string) []series {
	t.Helper()
	all, err := p.query(expr)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func seconds(t time.Time) string { return strconv.FormatFloat(unix(t), 'f', 3, 64) }

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// result is the data of a query result.
type result struct{ Result []series }

// get sends a request to Prometheus's API, and parses the data of the response.
func (p *prometheus) get(path string, query url.Values, data any) error {
	status, body, err := get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return fmt.Errorf("status %d: %w", status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("status %d: %s", status, answer.Error)
	}
	return nil
}

// becomes waits until an expression has exactly this result; is asserts that it has it now.
func (p *prometheus) becomes(t *testing.T, expr, want string) {
	t.Helper()
	eventually(t, expr, func() (string, bool) {
		all, err := p.query(expr)
		if err != nil {
			return err.Error(), false
		}
		got := text(all)
		return "-got +want\n" + difference(got, want), got == want
	})
}

func (p *prometheus) is(t *testing.T, expr, want string) {
	t.Helper()
	if got := text(p.now(t, expr)); got != want {
		t.Errorf("%s: -got +want\n%s", expr, difference(got, want))
	}
}

// text writes a result in the exposition format, sorted and without the labels of the target.
func text(all []series) string {
	lines := make([]string, 0, len(all))
	for _, s := range all {
		labels := maps.Clone(s.Metric)
		delete(labels, "job")
		delete(labels, "instance")
		lines = append(lines, write(labels)+" "+s.Value.value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// write writes labels in the exposition format.
func write(labels map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "__name__" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
		}
	}
	if len(pairs) == 0 {
		return labels["__name__"]
	}
	return labels["__name__"] + "{" + strings.Join(pairs, ",") + "}"
}

// difference lists the lines that only one of two texts has.
func difference(got, want string) string {
	var lines []string
	only := func(sign, text, other string) {
		for line := range strings.SplitSeq(text, "\n") {
			if !slices.Contains(strings.Split(other, "\n"), line) {
				lines = append(lines, sign+line)
			}
		}
	}
	only("-", got, want)
	only("+", want, got)
	return strings.Join(lines, "\n")
}
