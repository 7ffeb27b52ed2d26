package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
)

// TestFromEnvironment: variables and the profile select what is fetched, as in Huawei's own tools.
func TestFromEnvironment(t *testing.T) {
	home := t.TempDir()
	profile := filepath.Join(home, ".huaweicloud", "credentials")
	contents := "[basic]\nak = A\nsk = S\nproject_id = 7 ; of the profile\ndomain_id = \"8\"\niam_endpoint = iam.profile.test/v3\n"
	if err := os.MkdirAll(filepath.Dir(profile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(profile, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	federated := filepath.Join(home, "federated")
	if err := os.WriteFile(federated, []byte("[basic]\nidp_id = idp\nid_token_file = /token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const region = "ap-southeast-3"
	iamAt := func(url string) config.Endpoints { return config.Endpoints{"iam": {"default": url}} }
	agency := func(a config.AssumeAgency) config.Account {
		a.AgencyName = "quotas"
		return config.Account{Credentials: config.Credentials{AssumeAgency: &a}}
	}
	projects := func(p config.Project) config.Account {
		p.Region = region
		return config.Account{Projects: []config.Project{p}}
	}
	oidc := config.Account{Credentials: config.Credentials{OIDC: &config.OIDC{IDPID: "idp", TokenFile: "/token"}}}
	for _, test := range []struct {
		env  string // HW_REGION_NAME and these
		want config.Account
	}{
		{"", config.Account{}},
		{"OS_REGION_NAME " + region + "\n HUAWEICLOUD_SDK_REGION " + region, config.Account{}},
		{"HW_PROJECT_ID 2", projects(config.Project{ID: "2", Name: region})},
		{"OS_PROJECT_ID \ufeff3\n HUAWEICLOUD_SDK_PROJECT_ID 3", projects(config.Project{ID: "3", Name: region})},
		{"OS_TENANT_ID 4", projects(config.Project{ID: "4", Name: region})},
		{"HW_PROJECT_NAME ap-southeast-3_team", projects(config.Project{Name: "ap-southeast-3_team", IAMName: "ap-southeast-3_team"})},
		{"OS_PROJECT_NAME " + region, config.Account{}},
		{"OS_PROJECT_NAME x HW_PROJECT_ID 2", projects(config.Project{ID: "2", Name: "x"})},
		{"HW_CLOUD example.com HW_DOMAIN_ID 5 OS_DOMAIN_ID 5", config.Account{Cloud: "example.com", DomainID: "5"}},
		{"OS_AUTH_URL https://iam.eu-de.test:443/v3", config.Account{Endpoints: iamAt("https://iam.eu-de.test:443")}},
		{"HW_AUTH_URL http://iam.test/v3/ HUAWEICLOUD_SDK_IAM_ENDPOINT http://iam.test HUAWEICLOUD_SDK_REGION_IAM_AP_SOUTHEAST_3 http://iam.test/", config.Account{Endpoints: iamAt("http://iam.test")}},
		{
			"HUAWEICLOUD_SDK_REGION_CTS_AP_SOUTHEAST_3 https://a.test/,https://b.test HUAWEICLOUD_SDK_REGION_GAUSSDB_AP_SOUTHEAST_3 c.test HUAWEICLOUD_SDK_REGION_CES_EU_DE https://d.test",
			config.Account{Endpoints: config.Endpoints{"cts": {"default": "https://a.test"}, "taurusdb": {"default": "https://c.test"}}},
		},
		{
			"HUAWEICLOUD_SDK_STS_ENDPOINT sts.test HUAWEICLOUD_SDK_REGION_STS_AP_SOUTHEAST_3 https://sts.test/ HUAWEICLOUD_SDK_REGION_STS_EU_DE https://d.test",
			config.Account{Endpoints: config.Endpoints{"sts": {"default": "https://sts.test"}}},
		},
		{"HW_ASSUME_ROLE_AGENCY_NAME quotas HW_ASSUME_ROLE_DOMAIN_NAME d", agency(config.AssumeAgency{DomainName: "d", Duration: time.Hour})},
		{"HW_ASSUME_ROLE_AGENCY_NAME quotas HW_ASSUME_ROLE_DOMAIN_ID 6 HW_ASSUME_ROLE_DURATION 900", agency(config.AssumeAgency{DomainID: "6", Duration: 15 * time.Minute})},
		{"OS_AGENCY_NAME quotas OS_AGENCY_DOMAIN_NAME d", agency(config.AssumeAgency{DomainName: "d", Duration: time.Hour})},
		{"HUAWEICLOUD_SDK_IDP_ID idp HUAWEICLOUD_SDK_ID_TOKEN_FILE /token HW_ACCESS_KEY A HW_SECRET_KEY S HW_PROFILE p", oidc},
		{"OS_USERNAME u HW_USER_PASSWORD p OS_USER_DOMAIN_NAME d", config.Account{Credentials: config.Credentials{Password: &config.Password{
			DomainName: "d", UserName: "u", Password: config.Secret{Text: secret.New("p"), Variable: "HW_USER_PASSWORD"},
		}}}},
		{"HW_USER_NAME u HW_ACCESS_KEY A HW_SECRET_KEY S HW_PROFILE p HOME " + home, config.Account{}},
		{"HOME " + home, config.Account{DomainID: "8", Endpoints: iamAt("https://iam.profile.test"), Projects: []config.Project{{ID: "7", Region: region, Name: region}}}},
		{
			"HW_PROJECT_ID 2 HW_DOMAIN_ID 5 OS_AUTH_URL http://iam.test/v3 HUAWEICLOUD_SDK_CREDENTIALS_FILE " + profile,
			config.Account{DomainID: "5", Endpoints: iamAt("http://iam.test"), Projects: []config.Project{{ID: "2", Region: region, Name: region}}},
		},
		{
			"HW_PROJECT_NAME x HUAWEICLOUD_SDK_CREDENTIALS_FILE " + profile,
			config.Account{DomainID: "8", Endpoints: iamAt("https://iam.profile.test"), Projects: []config.Project{{Region: region, Name: "x", IAMName: "x"}}},
		},
		{"HUAWEICLOUD_SDK_CREDENTIALS_FILE " + federated, oidc},
	} {
		got, err := config.FromEnvironment(t.Context(), known, environ(append(strings.Fields(test.env), "HW_REGION_NAME", region)...))
		if err != nil {
			t.Errorf("%s: %v", test.env, err)
			continue
		}
		got.Accounts[0].ProfileSays = nil // TestProfileThatChanges is about it
		test.want.Name, test.want.MaxInFlightPerHost = "default", 64
		if test.want.Projects == nil {
			test.want.Projects = []config.Project{{Region: region, Name: region}}
		}
		if !reflect.DeepEqual(got.Accounts, []config.Account{test.want}) {
			t.Errorf("%s: got %+v\nwant %+v", test.env, got.Accounts[0], test.want)
		}
	}
	alone, err := config.FromEnvironment(t.Context(), known, environ("HW_REGION_NAME", region, "HW_DOMAIN_NAME", "d"))
	if err != nil || !slices.Contains(alone.Decisions, config.Decision{Name: "HW_DOMAIN_NAME", What: "nothing: no user is set"}) {
		t.Errorf("a variable without effect is missing in %+v, %v", alone, err)
	}
}

func TestBadEnvironment(t *testing.T) {
	const missing = "HW_REGION_NAME: missing, and no accounts are configured; set HW_REGION_NAME, HUAWEICLOUD_SDK_REGION, or " +
		"OS_REGION_NAME, or set --config.file to a file with accounts"
	const badRegion = "HUAWEICLOUD_SDK_REGION: invalid format; expected the name of a region such as ap-southeast-3"
	const badID = "HUAWEICLOUD_SDK_PROJECT_ID: invalid format; expected the project_id, 1 to 64 letters and digits"
	const notOfForm = ": invalid format; expected "
	in := func(pairs ...string) func(string) string { return environ(append(pairs, "HW_REGION_NAME", "eu-de")...) }
	tests := map[string]struct {
		getenv func(string) string
		want   []string
	}{
		"nothing":     {environ(), []string{missing}},
		"region":      {environ("HUAWEICLOUD_SDK_REGION", "AKIAxSECRETx"), []string{badRegion}},
		"long":        {environ("HUAWEICLOUD_SDK_REGION", strings.Repeat("a", 41)), []string{badRegion}},
		"id":          {environ("HW_REGION_NAME", "eu-de", "HUAWEICLOUD_SDK_PROJECT_ID", "AKIAxSECRETx/"), []string{badID}},
		"two regions": {in("OS_REGION_NAME", "eu-nl"), []string{"HW_REGION_NAME: sets a different region than OS_REGION_NAME; unset one of them"}},
		"two ids": {
			in("HUAWEICLOUD_SDK_PROJECT_ID", "1", "HW_PROJECT_ID", "1", "OS_PROJECT_ID", "2"),
			[]string{"HUAWEICLOUD_SDK_PROJECT_ID: sets a different project ID than OS_PROJECT_ID; unset one of them"},
		},
		"two agencies": {
			in("HW_ASSUME_ROLE_AGENCY_NAME", "a", "OS_AGENCY_NAME", "b", "OS_AGENCY_DOMAIN_NAME", "d"),
			[]string{"HW_ASSUME_ROLE_AGENCY_NAME: sets a different agency than OS_AGENCY_NAME; unset one of them"},
		},
		"two endpoints": {
			in("HW_AUTH_URL", "https://a.test/v3", "HUAWEICLOUD_SDK_IAM_ENDPOINT", "https://b.test"),
			[]string{"HUAWEICLOUD_SDK_IAM_ENDPOINT: sets a different endpoint of iam than HW_AUTH_URL; unset one of them"},
		},
		"ids":    {in("HW_PROJECT_ID", "a b", "OS_DOMAIN_ID", "/"), []string{"HW_PROJECT_ID" + notOfForm + "the project_id, 1 to 64 letters and digits", "OS_DOMAIN_ID" + notOfForm + "the domain_id, 1 to 64 letters and digits"}},
		"cloud":  {in("HW_CLOUD", "https://SECRET"), []string{"HW_CLOUD" + notOfForm + "a bare DNS domain such as myhuaweicloud.com, without scheme, port, or path"}},
		"names":  {in("HW_PROJECT_NAME", strings.Repeat("SECRET", 30)), []string{"HW_PROJECT_NAME" + notOfForm + "at most 128 bytes of UTF-8 without control characters"}},
		"quotes": {in("HW_PROJECT_ID", `"SECRET"`, "OS_PROJECT_NAME", "eu-de_\u200bSECRET"), []string{"HW_PROJECT_ID: has quotes around it; remove the quotes", "OS_PROJECT_NAME: contains an invisible character (U+200B); remove it, or type the text again"}},
		"iam":    {in("OS_AUTH_URL", "https://SECRET@iam.test/v3"), []string{"OS_AUTH_URL: a URL with a user; remove the part before the @"}},
		"scheme": {in("HUAWEICLOUD_SDK_REGION_CTS_EU_DE", "ftp://SECRET"), []string{"HUAWEICLOUD_SDK_REGION_CTS_EU_DE: not an https or http URL; expected an absolute URL such as https://cts.{region}.example.com"}},
		"no first endpoint": {
			in("HUAWEICLOUD_SDK_REGION_CTS_EU_DE", ",https://b.test", "HW_AUTH_URL", "/v3"),
			[]string{
				"HW_AUTH_URL: a URL without a host; expected an absolute URL such as https://cts.{region}.example.com",
				"HUAWEICLOUD_SDK_REGION_CTS_EU_DE: not a URL; expected an absolute URL such as https://cts.{region}.example.com",
			},
		},
		"agency": {in("HW_ASSUME_ROLE_AGENCY_NAME", "SECRET"), []string{"HW_ASSUME_ROLE_AGENCY_NAME: is set, but neither HW_ASSUME_ROLE_DOMAIN_NAME nor HW_ASSUME_ROLE_DOMAIN_ID is; set one of them"}},
		"agency of two": {
			in("HW_ASSUME_ROLE_AGENCY_NAME", "a", "HW_ASSUME_ROLE_DOMAIN_NAME", "d", "HW_ASSUME_ROLE_DOMAIN_ID", "1"),
			[]string{"HW_ASSUME_ROLE_DOMAIN_ID: conflicts with HW_ASSUME_ROLE_DOMAIN_NAME; unset one of them"},
		},
		"no agency":       {in("HW_ASSUME_ROLE_DOMAIN_ID", "1"), []string{"HW_ASSUME_ROLE_DOMAIN_ID: is set, but HW_ASSUME_ROLE_AGENCY_NAME is not; set both or neither"}},
		"only a duration": {in("HW_ASSUME_ROLE_DURATION", "3600"), []string{"HW_ASSUME_ROLE_DURATION: is set, but HW_ASSUME_ROLE_AGENCY_NAME is not; set both or neither"}},
		"duration": {
			in("HW_ASSUME_ROLE_AGENCY_NAME", "a", "HW_ASSUME_ROLE_DOMAIN_NAME", "d", "HW_ASSUME_ROLE_DURATION", "1h"),
			[]string{"HW_ASSUME_ROLE_DURATION: not a number of seconds, or out of range; expected 900 to 86400"},
		},
		"half an identity provider": {in("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "/t"), []string{"HUAWEICLOUD_SDK_ID_TOKEN_FILE: is set, but HUAWEICLOUD_SDK_IDP_ID is not; set both or neither"}},
		"half a login":              {in("HW_USER_NAME", "u", "OS_PASSWORD", "SECRET"), []string{"OS_PASSWORD: is set, but HW_DOMAIN_NAME is not; set both or neither"}},
		"not supported": {in("HUAWEICLOUD_SDK_REGIONS_FILE", "/f", "HW_ASSUME_ROLE_IDP_ID", "i", "OS_AUTH_TOKEN", "SECRET", "HW_PROFILE", "p"), []string{
			"HUAWEICLOUD_SDK_REGIONS_FILE: not supported; unset it, and set HUAWEICLOUD_SDK_REGION_<SERVICE>_<REGION>, or set endpoints in a configuration file",
			"HW_ASSUME_ROLE_IDP_ID: not supported; unset it, and set HUAWEICLOUD_SDK_IDP_ID and HUAWEICLOUD_SDK_ID_TOKEN_FILE, or set oidc in a configuration file",
			"HW_PROFILE: not supported; unset it, and set keys such as HW_ACCESS_KEY and HW_SECRET_KEY, or use a configuration file with credentials",
			"OS_AUTH_TOKEN: not supported; unset it, and set keys such as HW_ACCESS_KEY and HW_SECRET_KEY, or use a configuration file with credentials",
		}},
		"no profile": {in("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "/SECRET/missing"), []string{
			"HUAWEICLOUD_SDK_CREDENTIALS_FILE: failed to read the profile: no such file or directory; expected a readable INI file with a section [basic]",
		}},
		"profile in quotes": {in("HUAWEICLOUD_SDK_CREDENTIALS_FILE", `"/SECRET/missing"`), []string{"HUAWEICLOUD_SDK_CREDENTIALS_FILE: has quotes around it; remove the quotes"}},
		"together":          {environ("HUAWEICLOUD_SDK_PROJECT_ID", "AKIAxSECRETx/"), []string{missing, badID}},
	}
	// Errors about missing variables in addition to an invalid text would only distract.
	if _, err := config.Parse("c.yml", []byte("[]"), known, environ()); err == nil || err.Error() != "c.yml:1: is a list; expected a mapping of keys to values" {
		t.Errorf("got %v", err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.FromEnvironment(t.Context(), known, test.getenv)
			if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "HW_SECRET_KEY", ""), mark) {
				t.Errorf("a value is shown in %v", err)
			}
			if want := "environment: " + strings.Join(test.want, "\nenvironment: "); err == nil || err.Error() != want {
				t.Errorf("FromEnvironment: got %v, want %s", err, want)
			}
			// A file without accounts has the same errors, in addition to those of the file itself.
			_, err = config.Parse("c.yml", []byte("later: []\n"), known, test.getenv)
			want := "c.yml: " + strings.Join(test.want, "\nc.yml: ") + "\nc.yml:1: later: unknown key; known here: accounts, services, limits, thresholds"
			if err == nil || err.Error() != want {
				t.Errorf("Parse: got %v, want %s", err, want)
			}
		})
	}
}

// TestProjectNamedAsTheAccount: its label would be that of the account's own quotas.
func TestProjectNamedAsTheAccount(t *testing.T) {
	getenv := environ("HW_REGION_NAME", "eu-de", "HW_PROJECT_ID", "1", "OS_PROJECT_NAME", "default")
	for yaml, want := range map[string]string{
		"services: {eps: {enabled: true}}": "c.yml: OS_PROJECT_NAME: the same as the name of the account, which is the label of its account-level quotas, default; " +
			"unset it and set HW_PROJECT_ID, or set --config.file to a file with accounts",
		"services: {ecs: {enabled: true}}": "<nil>",
	} {
		if _, err := config.Parse("c.yml", []byte(yaml), providers.All(), getenv); fmt.Sprint(err) != want {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
}

// TestEndpointsByNamesOfTheSDK: each service of the catalogue has the name that region.DefaultProviderChain of Huawei's SDK for Go uses, in upper
// case. The SDK does not support ModelArts yet.
func TestEndpointsByNamesOfTheSDK(t *testing.T) {
	names := strings.Fields(`CTS CES GAUSSDB DCS DBSS ECS EVS VPC ELB RDS CCE NAT IMS AS DDS GAUSSDBFOROPENGAUSS GAUSSDBFORNOSQL KAFKA SFSTURBO KMS FUNCTIONGRAPH VPN
		VPCEP ER DC DWS DLI SWR BMS DRS SDRS DEH DAS EG ESW IEF WORKSPACE BCS CSE MODELARTS GES CBH ANTIDDOS DSC
		DNS CCM CCM CC CC GA GEIP CDN TMS EPS EC IEC CLOUDPOND UCS`)
	set := []string{"HW_REGION_NAME", "eu-west-101"}
	for _, name := range names {
		set = append(set, "HUAWEICLOUD_SDK_REGION_"+name+"_EU_WEST_101", name+".test")
	}
	c, err := config.FromEnvironment(t.Context(), providers.All(), environ(set...))
	if err != nil {
		t.Fatal(err)
	}
	isIAM := func(s providers.Service) bool { return s.Name == "iam" } // uses the endpoint of IAM
	for i, s := range slices.DeleteFunc(slices.Clone(providers.All()), isIAM) {
		if got, want := c.Accounts[0].Endpoints[s.Name]["default"], "https://"+names[i]+".test"; got != want {
			t.Errorf("%s is at %q, want %q", s.Name, got, want)
		}
	}
	if n := len(c.Decisions); n != 1+len(names) {
		t.Errorf("%d variables decide something, want all %d", n, 1+len(names))
	}
}
