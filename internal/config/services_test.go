package config_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// two are a service that is enabled by default, and one that is not and has its own cache_ttl.
var two = providerstest.Named("cts", "ecs")

// set returns the settings of the two services and of the user's own API, if the text has it.
func set(t *testing.T, text string) string {
	t.Helper()
	c, err := config.Parse("c.yml", []byte(text), two, inRegion)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, known := range c.Known {
		s := c.Services[known.Name]
		line := fmt.Sprintf("%s off", known.Name)
		if s.Enabled {
			line = fmt.Sprintf("%s %s %s %s %d", known.Name, config.Short(s.CacheTTL), config.Short(s.Timeout), config.Short(s.MaxStale), s.MaxInFlight)
		}
		if s.ByDefaults {
			line += " by defaults"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// TestEnabled: the service's own section has precedence, then services.defaults, then the catalogue. defaults.enabled does not apply to the user's
// own APIs.
func TestEnabled(t *testing.T) {
	const usual, cached = " 5m 8s 6h 8", " 15m 8s 6h 8"
	for text, want := range map[string]string{
		"":                                      "cts" + usual + ", ecs off",
		"services: {}":                          "cts" + usual + ", ecs off",
		"services: {ecs: {}}":                   "cts" + usual + ", ecs off",
		"services: {ecs: {timeout: 8s}}":        "cts" + usual + ", ecs off",
		"services: {ecs: {enabled: true}}":      "cts" + usual + ", ecs" + cached,
		"services: {cts: {timeout: 8s}}":        "cts" + usual + ", ecs off",
		"services: {defaults: {timeout: 8s}}":   "cts" + usual + ", ecs off",
		"services: {defaults: {enabled: true}}": "cts" + usual + ", ecs" + cached + " by defaults",
		"services: {defaults: {enabled: true}, ecs: {timeout: 8s}}":                        "cts" + usual + ", ecs" + cached + " by defaults",
		"services: {defaults: {enabled: true}, ecs: {enabled: true}}":                      "cts" + usual + ", ecs" + cached,
		"services: {defaults: {enabled: true}, cts: {enabled: false}}":                     "cts off, ecs" + cached + " by defaults",
		"services: {defaults: {enabled: true}, ecs: {enabled: false}}":                     "cts" + usual + ", ecs off",
		"services: {defaults: {enabled: false}, cts: {timeout: 8s, enabled: true}}":        "cts" + usual + ", ecs off",
		"services: {defaults: {enabled: false}, cts: {timeout: 8s}, ecs: {enabled: true}}": "cts off, ecs" + cached,
		own("defaults: {}", ""):                              "cts" + usual + ", ecs off, my_api" + usual,
		own("defaults: {enabled: false}", ""):                "cts off, ecs off, my_api" + usual,
		own("defaults: {enabled: true}", ""):                 "cts" + usual + ", ecs" + cached + " by defaults, my_api" + usual,
		own("defaults: {enabled: true}", "enabled: false, "): "cts" + usual + ", ecs" + cached + " by defaults, my_api off",
		own("defaults: {enabled: false}", "enabled: true, "): "cts off, ecs off, my_api" + usual,
		own("cts: {enabled: false}", ""):                     "cts off, ecs off, my_api" + usual,
	} {
		if got := set(t, text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// own is a section with the user's own API in addition to another section.
func own(beside, settings string) string {
	return "services: {" + beside + ", my_api: {" + settings + `api: {host: my-api, path: /v1/quotas}}}`
}

// TestPrecedence: a setting comes from the service's own section, the catalogue, services.defaults, or the built-in defaults, in this order.
func TestPrecedence(t *testing.T) {
	const all = "defaults: {enabled: true, cache_ttl: 10m, timeout: 9s, max_stale: 2h, max_in_flight: 3}"
	for text, want := range map[string]string{
		"services: {" + all + "}": "cts 10m 9s 2h 3, ecs 15m 9s 2h 3 by defaults",
		"services: {" + all + ", cts: {cache_ttl: 1m}, ecs: {cache_ttl: 5m, timeout: 1s, max_stale: 1h, max_in_flight: 1}}": "cts 1m 9s 2h 3, ecs 5m 1s 1h 1 by defaults",
		own(all, ""):                             "cts 10m 9s 2h 3, ecs 15m 9s 2h 3 by defaults, my_api 10m 9s 2h 3",
		own(all, "cache_ttl: 0, timeout: 30s, "): "cts 10m 9s 2h 3, ecs 15m 9s 2h 3 by defaults, my_api 0 30s 2h 3",
	} {
		if got := set(t, text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestOwnAPIs: the user's own API is read like an entry of the catalogue, and comes last, in the order of the file.
func TestOwnAPIs(t *testing.T) {
	text, err := os.ReadFile("../../providers/catalogue.yml")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue yaml.Node
	if err := yaml.Unmarshal(text, &catalogue); err != nil {
		t.Fatal(err)
	}
	entries, builtIn := catalogue.Content[0].Content, providers.All()
	for i := 0; i < len(entries); i += 2 {
		var entry struct{ API yaml.Node }
		if err := entries[i+1].Decode(&entry); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(entry.API.Content, func(n *yaml.Node) bool { return n.Value == "host" }) {
			entry.API.Content = append(entry.API.Content, scalar("host"), scalar(entries[i].Value))
		}
		entries[i] = scalar("my_" + entries[i].Value)
		entries[i+1] = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("api"), &entry.API}}
	}
	text, err = yaml.Marshal(map[string]any{"services": catalogue.Content[0]})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("c.yml", text, builtIn, inRegion)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Known) != 2*len(builtIn) {
		t.Fatalf("%d services, want each twice", len(c.Known))
	}
	for i, s := range builtIn {
		mine := c.Known[len(builtIn)+i]
		if mine.Name != "my_"+s.Name || !mine.IsOwn() || s.IsOwn() || !c.Services[mine.Name].Enabled {
			t.Errorf("%s: %+v, %+v", s.Name, mine, c.Services[mine.Name])
		}
		if mine.API.String() != s.API.String() || mine.API.Host.BaseURL("eu-de", "") != s.API.Host.BaseURL("eu-de", "") {
			t.Errorf("%s: got %s, want %s", s.Name, mine.API, s.API)
		}
	}
}

func scalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// TestOwnNames: names of own services are valid wherever names of services are.
func TestOwnNames(t *testing.T) {
	c, err := config.Parse("c.yml", []byte(`
accounts:
  - projects: [{region: eu-de}]
    endpoints: {my_api2: "https://my-api.{region}.example.com", my_other: {eu-de: "https://eu.example.com"}}
services:
  my_api2: {api: {host: my-api, path: /v1/quotas}}
  my_other: {api: {host: my-api, path: /v2/quotas}}
limits: [{service: my_api2, limit: 5}]
thresholds: {overrides: [{service: "my_.*", ratios: {}}]}
`), known, inRegion)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := c.Accounts[0].Endpoints
	if got := endpoints.For("my_api2", "my-api", "eu-de") + " " + endpoints.For("my_other", "my-api", "eu-de"); got != "https://my-api.eu-de.example.com https://eu.example.com" {
		t.Errorf("endpoints %s", got)
	}
	if !c.Limits[0].Fits("my_api2", "eu-de", "x") || !c.Thresholds[0].Fits("my_other", "eu-de", "x") || c.Thresholds[0].Fits("cts", "eu-de", "x") {
		t.Errorf("rules %+v %+v", c.Limits[0], c.Thresholds[0])
	}
}

// TestManyNames: with the whole catalogue, errors list the ten names that are most similar to the unknown one.
func TestManyNames(t *testing.T) {
	_, err := config.Parse("c.yml", []byte(`
accounts:
  - projects: [{region: eu-de}]
    endpoints: {sfs_turbo: "https://eu.example.com", AKIAxSECRETx: "https://eu.example.com"}
services:
  function_graph: {enabled: true}
  AKIAxSECRETx: {enabled: true}
limits: [{service: kmss, limit: 5}, {service: esc, limit: 5}]
`), providers.All(), inRegion)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"accounts[0].endpoints.sfs_turbo: unknown key; known here: sfsturbo, ", "accounts[0].endpoints: an unknown key (not shown because it may be a secret); known here: antiddos, as, ",
		"services.function_graph: unknown key; known here: functiongraph, ", "services: an unknown key (not shown because it may be a secret); known here: defaults, antiddos, ",
		"limits[0].service: matches none of the services: kms, ",
		"limits[1].service: matches none of the services: dsc, ",
	} {
		if len(lines) != 6 || !strings.Contains(lines[i], want) || strings.Count(lines[i], ", ") > 12 || !strings.Contains(lines[i], " more") {
			t.Errorf("got %s\nwant %s", lines[min(i, len(lines)-1)], want)
		}
	}
}
