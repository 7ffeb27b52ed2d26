// Package dashboards_test tests the provisioning of Grafana. schema.test.js and test/e2e test the dashboards themselves.
package dashboards_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const (
	deploy        = "../../deploy/"
	documentation = "../../docs/dashboards.md"
)

func TestProvider(t *testing.T) {
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type, Folder string
			AllowUIUpdates     bool `yaml:"allowUiUpdates"`
			Options            struct{ Path string }
		}
	}
	decode(t, deploy+"grafana/provisioning/dashboards/cloud_quota.yml", &file)
	if file.APIVersion != 1 || len(file.Providers) != 1 || file.Providers[0].Type != "file" {
		t.Fatalf("%+v", file)
	}
	if path := file.Providers[0].Options.Path; !strings.Contains(content(t, documentation), "-t "+path+" deploy/grafana/dashboards/*.json") {
		t.Errorf("%s does not show that the dashboards belong to %s", documentation, path)
	}
}

func TestDataSource(t *testing.T) {
	var file struct {
		APIVersion  int `yaml:"apiVersion"`
		DataSources []struct {
			Name, Type, Access, URL string
			JSONData                struct {
				HTTPMethod   string `yaml:"httpMethod"`
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	decode(t, deploy+"grafana/provisioning/datasources/prometheus.yml", &file)
	if file.APIVersion != 1 || len(file.DataSources) != 1 || file.DataSources[0].Type != "prometheus" || file.DataSources[0].JSONData.HTTPMethod != "POST" {
		t.Fatalf("%+v", file)
	}
	if interval := "scrape_interval: " + file.DataSources[0].JSONData.TimeInterval; !strings.Contains(content(t, deploy+"prometheus/scrape-static.yml"), interval) {
		t.Errorf("the shipped configuration of Prometheus has no %s", interval)
	}
}

// decode reads a file strictly: unknown keys are errors.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(content(t, file))))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
