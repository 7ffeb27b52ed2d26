package command_test

import (
	"os"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
)

// environmentOf is a cloud with two projects of a region, and the environment variables that select them.
func environmentOf(t *testing.T) (env map[string]string, projects []cloudsim.Project) {
	t.Helper()
	projects = []cloudsim.Project{{ID: projectID, Name: "ap-southeast-3"}, {ID: strings.Repeat("2", 32), Name: "ap-southeast-3_team"}}
	url := listen(t, cloudtest.New(cloudsim.Account{Name: "main", AccessKey: accessKey, SecretKey: secretKey, Projects: projects}))
	env = map[string]string{
		"HW_ACCESS_KEY": accessKey + "\n", "HW_SECRET_KEY": "\ufeff" + secretKey + "\n", "HW_REGION_NAME": "ap-southeast-3", "HW_AUTH_URL": url + "/v3",
	}
	for _, service := range []string{"CTS", "CES", "GAUSSDB", "DCS", "DBSS"} {
		env["HUAWEICLOUD_SDK_REGION_"+service+"_AP_SOUTHEAST_3"] = url + "," + "https://other.test"
	}
	return env, projects
}

func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// TestEnvironmentSelectsTheProject: only the project in the variables or the profile is fetched.
func TestEnvironmentSelectsTheProject(t *testing.T) {
	for name, tc := range map[string]struct {
		env     map[string]string
		project int
		label   string
	}{
		"region":       {nil, 0, "ap-southeast-3"},
		"project id":   {map[string]string{"HW_PROJECT_ID": strings.Repeat("2", 32)}, 1, "ap-southeast-3"},
		"project name": {map[string]string{"OS_PROJECT_NAME": "ap-southeast-3_team"}, 1, "ap-southeast-3_team"},
		"profile":      {map[string]string{"HW_ACCESS_KEY": "", "HW_SECRET_KEY": "", "HUAWEICLOUD_SDK_CREDENTIALS_FILE": "profile"}, 1, "ap-southeast-3"},
	} {
		t.Run(name, func(t *testing.T) {
			env, projects := environmentOf(t)
			setenv(t, env)
			setenv(t, tc.env)
			if tc.env["HUAWEICLOUD_SDK_CREDENTIALS_FILE"] != "" {
				t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", write(t, "profile",
					"[basic]\nak = "+accessKey+" ; of the exporter\nsk = '"+secretKey+"'\nproject_id = "+projects[1].ID+"\n"))
			}
			contains(t, query(t, "", command.Query{Output: "json"}), `"project_id": "`+projects[tc.project].ID+`"`, `"project": "`+tc.label+`"`, "exit code 0")
		})
	}
}

// TestProfileThatChanges: once the profile names another project, its keys are not used for the previous one.
func TestProfileThatChanges(t *testing.T) {
	env, projects := environmentOf(t)
	setenv(t, env)
	keys := "[basic]\nak = " + accessKey + "\nsk = " + secretKey + "\nproject_id = "
	profile := write(t, "profile", keys+projects[0].ID+"\n")
	setenv(t, map[string]string{"HW_ACCESS_KEY": "", "HW_SECRET_KEY": "", "HUAWEICLOUD_SDK_CREDENTIALS_FILE": profile})
	r := serve(t, "", write(t, "config.yml", "services: {defaults: {cache_ttl: 0}, ces: {cache_ttl: 0}}"), nil)
	up := func(id string) {
		t.Helper()
		contains(t, r.get(t, "/metrics"), `cloud_quota_up{project="ap-southeast-3",service="cts"} 1`, `project_id="`+id+`"`)
	}
	up(projects[0].ID)
	replace := func(contents string) {
		if err := os.WriteFile(profile, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace(keys) // half-written
	up(projects[0].ID)
	replace(keys + projects[1].ID + "\n")
	contains(t, r.get(t, "/metrics"), `cloud_quota_last_failure_reason{project="ap-southeast-3",reason="credentials",service="cts"} 1`)
	r.log.waitFor(t, "project_id has changed since the configuration was loaded; reload the configuration")
	resp, err := r.client.Post(r.url+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, read(t, resp), "200")
	up(projects[1].ID)
}

// TestAgencyOfEnvironment: the keys of the agency in the variables are used.
func TestAgencyOfEnvironment(t *testing.T) {
	env, _ := environmentOf(t)
	setenv(t, env)
	t.Setenv("HW_ASSUME_ROLE_AGENCY_NAME", "quotas")
	t.Setenv("HW_ASSUME_ROLE_DOMAIN_ID", "5")
	contains(t, query(t, "", command.Query{}), "assume_agency: quotas of domain_id 5: POST", "exit code 1")
	t.Setenv("HW_ASSUME_ROLE_DOMAIN_ID", "")
	contains(t, check(t, "", false), "HW_ASSUME_ROLE_AGENCY_NAME: is set, but neither", "exit code 1")
}

// TestCheckShowsVariables: check-config shows the effect of each variable, and which ones a file overrides.
func TestCheckShowsVariables(t *testing.T) {
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "HW_ACCESS_KEY": "A", "HW_SECRET_KEY": "S", "OS_ACCESS_KEY": "A2", "HW_REGION_NAME": "ap-southeast-3", "OS_REGION_NAME": "ap-southeast-3",
		"HW_PROJECT_ID": projectID, "OS_PROJECT_NAME": "team", "HW_DOMAIN_ID": "5", "HW_CLOUD": "example.com", "OS_AUTH_URL": "https://iam.test/v3", "HW_USER_NAME": "u", "HW_PROFILE": "p",
		"HUAWEICLOUD_SDK_REGION_GAUSSDB_AP_SOUTHEAST_3": "https://gaussdb.test,https://other.test",
		"HW_ASSUME_ROLE_AGENCY_NAME":                    "quotas", "HW_ASSUME_ROLE_DOMAIN_NAME": "d", "HW_ASSUME_ROLE_DURATION": "3600",
		"HW_ENTERPRISE_PROJECT_ID": "0", "HUAWEICLOUD_SDK_STS_ENDPOINT": "https://sts.test",
	} {
		t.Setenv(name, value)
	}
	golden(t, "check-environment", check(t, "", false))
	profile := write(t, "profile", "[basic]\nak = A\nsk = S\nproject_id = 7\niam_endpoint = https://iam.test/\n")
	golden(t, "check-overruled", check(t, write(t, "config.yml", `accounts:
  - name: main
    credentials: {environment: {}}
    endpoints: {iam: "https://iam.test"}
    projects: [{region: eu-de, id: "1", name: prod}]
services: {ces: {enabled: false}, taurusdb: {enabled: false}, dcs: {enabled: false}, dbss: {enabled: false}}
`), false))
	shown := check(t, write(t, "config.yml", "accounts: [{credentials: {profile: {file: "+profile+"}}, projects: [{region: eu-de}]}]"), false)
	contains(t, shown, "project_id of "+profile+", section basic  ", "iam_endpoint of "+profile, "HW_ACCESS_KEY  ", "exit code 0")
}
