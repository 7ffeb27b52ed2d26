package config_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers/providerstest"
)

// mark is part of every secret in testdata. No output may contain it.
const mark = "SECRET"

var known = providerstest.Five()

var standard = config.Service{
	Enabled: true, CacheTTL: 5 * time.Minute, Timeout: 8 * time.Second, MaxStale: 6 * time.Hour, MaxInFlight: 8,
}

// services are the five services with the settings of standard, except for change.
func services(change func(map[string]config.Service)) map[string]config.Service {
	all := make(map[string]config.Service)
	for _, own := range known {
		s := standard
		if own.CacheTTL > 0 {
			s.CacheTTL = own.CacheTTL
		}
		if own.Name == "dbss" {
			s.Options = map[string]bool{"list_instances": true}
		}
		all[own.Name] = s
	}
	if change != nil {
		change(all)
	}
	return all
}

func environ(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

var inRegion = environ("HW_REGION_NAME", "ap-southeast-1")

func parseFile(t *testing.T, path string) (*config.Config, error) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config.Parse(filepath.Base(path), text, known, inRegion)
}

func inline(text string) config.Secret { return config.Secret{Text: secret.New(text)} }

func TestGoodFiles(t *testing.T) {
	keys := config.Credentials{Static: &config.Static{AccessKey: inline("AKIAxSECRETx"), SecretKey: inline("SECRETx")}}
	one := []config.Account{{Name: "default", Projects: []config.Project{{Region: "ap-southeast-1", Name: "ap-southeast-1"}}}}
	tests := map[string]*config.Config{
		"full.yml":    fullConfig(),
		"minimal.yml": {Accounts: one, Services: services(nil)},
		"empty.yml":   {Accounts: one, Services: services(nil)},
		"comment.yml": {Accounts: one, Services: services(nil)},
		"no-accounts.yml": {Accounts: one, Services: services(func(s map[string]config.Service) {
			cts := s["cts"]
			cts.Enabled = false
			s["cts"] = cts
		})},
		"credentials.yml": {Accounts: kindsOfCredentials(), Services: services(nil)},
		"aliases.yml": {
			Accounts: []config.Account{
				{Name: "first", Credentials: keys, Projects: []config.Project{{ID: "0250cb8a", Region: "ap-southeast-3", Name: "prod"}}},
				{Name: "second", Credentials: keys, Projects: []config.Project{{ID: "1250cb8a", Region: "ap-southeast-3", Name: "test"}}},
				{Name: "third", Credentials: keys, Projects: []config.Project{{Region: "ap-southeast-1", Name: "first"}}},
			},
			Services: services(func(s map[string]config.Service) {
				s["cts"] = config.Service{true, time.Hour, 30 * time.Second, 6 * time.Hour, 8, nil, false}
				s["ces"] = config.Service{true, 30 * time.Minute, 30 * time.Second, 6 * time.Hour, 8, nil, false}
				s["dcs"] = config.Service{true, time.Hour, time.Second, 6 * time.Hour, 8, nil, false}
				s["dbss"] = config.Service{false, 5 * time.Minute, 8 * time.Second, 6 * time.Hour, 8, map[string]bool{"list_instances": true}, false}
			}),
		},
		"own-apis.yml": {Accounts: one, Services: services(func(all map[string]config.Service) {
			for name, s := range all {
				s.Enabled, s.Timeout = name == "dcs", 5*time.Second
				all[name] = s
			}
			all["my_list"] = config.Service{true, 5 * time.Minute, 5 * time.Second, 6 * time.Hour, 8, nil, false}
			all["my_alias"] = all["my_list"]
			all["my_merged"] = config.Service{true, 5 * time.Minute, time.Second, 6 * time.Hour, 8, nil, false}
			all["my_map2"] = config.Service{true, 15 * time.Minute, 5 * time.Second, 6 * time.Hour, 2, nil, false}
			all["my_pairs"] = config.Service{false, 5 * time.Minute, 5 * time.Second, 6 * time.Hour, 8, nil, false}
		})},
	}
	files, err := filepath.Glob("testdata/good/*.yml")
	if err != nil || len(files) != len(tests) {
		t.Fatalf("%d files (%v), want one for each of the %d tests", len(files), err, len(tests))
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseFile(t, filepath.Join("testdata/good", name))
			if err != nil {
				t.Fatal(err)
			}
			got.Known = nil // the services themselves are tested elsewhere
			checkConfig(t, got, want)
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				var pointers []any // fmt does not follow it
				for _, a := range got.Accounts {
					pointers = append(pointers, a.Credentials.Static, a.Credentials.Password)
				}
				if shown := fmt.Sprintf(verb, got) + fmt.Sprintf(strings.Repeat(verb, len(pointers)), pointers...); strings.Contains(shown, mark) {
					t.Errorf("a secret is shown in %s", shown)
				}
			}
		})
	}
}

// checkConfig compares everything except the rules and decisions, which have other tests.
func checkConfig(t *testing.T, got, want *config.Config) {
	t.Helper()
	compared := *got
	compared.Limits, compared.Thresholds, compared.Decisions = nil, nil, nil
	compared.Accounts = slices.Clone(got.Accounts)
	for i := range compared.Accounts {
		compared.Accounts[i].ProfileSays = nil
		if a := &compared.Accounts[i]; a.MaxInFlightPerHost == 64 {
			a.MaxInFlightPerHost = 0 // the default
		}
	}
	if !reflect.DeepEqual(&compared, want) {
		t.Errorf("got\n%+v\nwant\n%+v", &compared, want)
	}
}

func fullConfig() *config.Config {
	return &config.Config{
		Accounts: []config.Account{
			{
				Name: "main",
				Credentials: config.Credentials{Static: &config.Static{
					AccessKey: inline("AKIAxSECRETx0123456789/+="), SecretKey: config.Secret{File: "/etc/keys/sk"}, SecurityToken: inline("*SECRETtoken"),
				}},
				Cloud: "myhuaweicloud.com",
				Endpoints: config.Endpoints{
					"taurusdb": {"default": "https://gaussdb-mysql.{region}.example.com"},
					"cts":      {"eu-de": "https://cts.eu-de.example.com", "default": "https://cts.{region}.example.com"},
					"ces":      {"eu-de": "https://ces.example.com:8443"},
					"dbss":     {"default": "https://dbss.example.com/v1/{project_id}/quota?region={region}"},
					"iam":      {"default": "http://127.0.0.1:8080"},
					"default":  {"eu-nl": "https://gateway.example.com/{service}", "ap-southeast-3": "https://{service}.{region}.example.com"},
				},
				MaxInFlightPerHost: 200,
				CAFile:             "/etc/ssl/private-cloud.pem",
				Projects: []config.Project{
					{ID: "0250cb8a80c24c0b9f20f557cb159aad", Region: "ap-southeast-3", Name: "prod"},
					{Region: "ap-southeast-1", Name: "ap-southeast-1"},
					{Region: "eu-de", Name: "eu-de_prüfung"},
				},
			},
			{
				Name: "second",
				Credentials: config.Credentials{Static: &config.Static{
					AccessKey: config.Secret{File: "/etc/keys/ak"}, SecretKey: inline("0123456789"), SecurityToken: config.Secret{File: "/etc/keys/st"},
				}},
				Projects: []config.Project{{ID: "1", Region: "eu-west-101", Name: "42"}},
			},
			{
				Name:        "third.3",
				Credentials: config.Credentials{Environment: &struct{}{}},
				Projects:    []config.Project{{Region: "eu-west-101", Name: "eu-west-101"}},
			},
		},
		Services: map[string]config.Service{
			"cts":      {Enabled: true, Timeout: 100 * time.Millisecond, MaxInFlight: 256},
			"taurusdb": {true, 90 * time.Minute, 5 * time.Second, 3 * time.Hour, 4, nil, false},
			"dbss":     {true, 10 * time.Minute, 5 * time.Second, 3 * time.Hour, 4, map[string]bool{"list_instances": false}, false},
			"ces":      {false, 15 * time.Minute, 5 * time.Second, 3 * time.Hour, 4, nil, false},
			"dcs":      {true, 10 * time.Minute, 5 * time.Second, 3 * time.Hour, 4, nil, false},
		},
	}
}

// TestEndpointFor: the endpoint for a service and region has precedence, then the service's default, then the default of all services. The latter
// does not apply to IAM.
func TestEndpointFor(t *testing.T) {
	main := fullConfig().Accounts[0].Endpoints
	all := config.Endpoints{"default": {"default": "http://{service}.{region}.test"}}
	tests := []struct {
		endpoints                    config.Endpoints
		service, label, region, want string
	}{
		{main, "taurusdb", "gaussdb", "eu-de", "https://gaussdb-mysql.eu-de.example.com"},
		{main, "cts", "cts", "eu-de", "https://cts.eu-de.example.com"},
		{main, "cts", "cts", "eu-nl", "https://cts.eu-nl.example.com"},
		{main, "ces", "ces", "eu-de", "https://ces.example.com:8443"},
		{main, "ces", "ces", "eu-nl", "https://gateway.example.com/ces"},
		{main, "ces", "ces", "ap-southeast-3", "https://ces.ap-southeast-3.example.com"},
		{main, "dbss", "dbss", "eu-de", "https://dbss.example.com/v1/{project_id}/quota?region=eu-de"},
		{main, "dcs", "dcs", "eu-de", ""},
		{main, "iam", "iam", "eu-nl", "http://127.0.0.1:8080"},
		{all, "taurusdb", "gaussdb-mysql", "eu-de", "http://gaussdb-mysql.eu-de.test"},
		{all, "iam", "iam", "eu-de", ""},
		{nil, "cts", "cts", "eu-de", ""},
	}
	for _, test := range tests {
		if got := test.endpoints.For(test.service, test.label, test.region); got != test.want {
			t.Errorf("%s in %s: got %q, want %q", test.service, test.region, got, test.want)
		}
	}
}

// TestLoad: a file that is missing, being written, or hanging is an error in time, with a remedy.
func TestLoad(t *testing.T) {
	full := filepath.Join("testdata", "good", "full.yml")
	got, err := config.Load(t.Context(), full, known, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	want := fullConfig()
	want.File = full
	got.Known = nil
	checkConfig(t, got, want)
	t.Setenv("HW_REGION_NAME", "eu-de")
	file := filepath.Join(t.TempDir(), "c.yml")
	refused := func(ctx context.Context, path, text string, kind error) {
		t.Helper()
		if _, err := config.Load(ctx, path, known, os.Getenv); err == nil || !strings.HasPrefix(err.Error(), text) || kind != nil && !errors.Is(err, kind) {
			t.Errorf("got %v, want %s", err, text)
		}
	}
	refused(t.Context(), "missing.yml", "read the configuration: missing.yml: no such file or directory; set --config.file to a readable file, "+
		"or omit it to configure one account from the environment", fs.ErrNotExist)
	for _, text := range []string{"", "\n", "# comment\n\n  # another", "services: {}\n", "# comment\nservices: {}"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "services") {
			refused(t.Context(), file, file+": the file is empty; set at least accounts or services, or omit --config.file to configure one account from the environment", nil)
		} else if _, err := config.Load(t.Context(), file, known, os.Getenv); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	hanging := filestest.Hang(t, file)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	refused(ctx, file, "read the configuration: "+file+": no response from the file system: context deadline exceeded; set --config.file to a readable file", context.DeadlineExceeded)
	hanging.Release()
	if _, err := config.Load(t.Context(), file, known, os.Getenv); err != nil {
		t.Errorf("released: %v", err)
	}
}

// kindsOfCredentials are accounts with each of the kinds that full.yml and aliases.yml do not have.
func kindsOfCredentials() []config.Account {
	agency := func(d time.Duration) *config.AssumeAgency {
		return &config.AssumeAgency{DomainName: "O", AgencyName: "quotas", Duration: d}
	}
	var accounts []config.Account
	for i, c := range []config.Credentials{
		{Profile: &config.Profile{}},
		{Profile: &config.Profile{"~/keys", "other"}},
		{InstanceMetadata: &config.InstanceMetadata{}},
		{InstanceMetadata: &config.InstanceMetadata{"http://127.0.0.1:8080"}},
		{PodIdentity: &struct{}{}},
		{OIDC: &config.OIDC{"my-idp", "/var/run/token"}},
		{Password: &config.Password{"D", "U", inline("SECRET")}},
		{Password: &config.Password{"D", "U", config.Secret{File: "/p"}}, AssumeAgency: agency(time.Hour)},
		{AssumeAgency: agency(15 * time.Minute)},
		{AssumeAgency: &config.AssumeAgency{DomainID: "6", AgencyName: "quotas", Duration: time.Hour}},
	} {
		name := string(rune('a' + i))
		accounts = append(accounts, config.Account{Name: name, Credentials: c, Projects: []config.Project{{Region: "r", Name: name}}})
	}
	accounts[len(accounts)-1].DomainID = "5"
	return accounts
}
