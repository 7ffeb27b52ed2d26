package command_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers/providerstest"
)

// The secrets that are configured. Each has a word in the middle by which it is known in every spelling.
const (
	leakyAccessKey = "AKIDaccessWORD01"
	leakySecretKey = `sk/+secretWORD02="&<`
	leakyToken     = "st/+tokenWORD03=="
	leakyPassword  = `pw"\&passwordWORD04</>'`
	leakyIDToken   = "id.tokenWORD05.x"
	leakyPodToken  = "pod/podWORD06+"
)

var leakyWords = []string{"accessWORD01", "secretWORD02", "tokenWORD03", "passwordWORD04", "tokenWORD05", "podWORD06"}

// leakyKinds are all kinds of credentials; URL stands for the cloud, DIR for a directory with files.
var leakyKinds = map[string]string{
	"static":            "static: {access_key: " + leakyAccessKey + ", secret_key_file: DIR/sk, security_token: " + leakyToken + "}",
	"environment":       "environment: {}",
	"profile":           "profile: {file: DIR/profile}",
	"instance_metadata": "instance_metadata: {endpoint: URL}",
	"pod_identity":      "pod_identity: {}",
	"oidc":              "oidc: {idp_id: idp, token_file: DIR/id_token}",
	"password":          "password: {domain_name: main, user_name: reader, password_file: DIR/password}",
	"assume_agency":     "environment: {}, assume_agency: {domain_name: other, agency_name: quotas}",
}

// leakyModes are which requests are echoed, by their paths: all that issue keys, those that do so in the second place, and all others.
var leakyModes = map[string]func(path string) bool{
	"keys": issues,
	"second step": func(path string) bool {
		return strings.HasSuffix(path, "/securitytokens") || strings.HasSuffix(path, "/securitykey")
	},
	"services": func(path string) bool { return !issues(path) },
}

func issues(path string) bool {
	return strings.HasPrefix(path, "/v3.0/") || strings.HasPrefix(path, "/v3/auth/") || strings.Contains(path, "/latest/") || strings.HasPrefix(path, "/pod-identity")
}

// leakySteps are the kinds to which keys are issued, and in how many steps.
var leakySteps = map[string]int{"instance_metadata": 2, "pod_identity": 1, "oidc": 2, "password": 1, "assume_agency": 1}

// TestNoSecretShows lets every kind of credentials meet a cloud that echoes what it was sent, in every style, and looks at all that the program
// says: log, pages, what commands print, errors.
func TestNoSecretShows(t *testing.T) {
	for kind, credentials := range leakyKinds {
		for mode, echoes := range leakyModes {
			if steps := map[string]int{"keys": 1, "second step": 2}[mode]; leakySteps[kind] < steps {
				continue
			}
			t.Run(kind+" "+mode, func(t *testing.T) {
				cloud := &echoing{cloud: leakyCloud(), echoes: echoes, asked: map[string]int{}, issued: map[string]bool{}}
				server := httptest.NewServer(cloud)
				defer server.Close()
				dir := leakyMachine(t, server.URL)
				said := everything(t, write(t, "config.yml", leakyConfig(strings.NewReplacer("URL", `"`+server.URL+`"`, "DIR", dir).Replace(credentials), server.URL)))
				words := leakyWords
				for _, secret := range cloud.secrets() {
					words = append(words, secret[:12])
				}
				for _, secret := range append(cloud.secrets(), leakyToken, leakyPassword, leakyIDToken, leakyPodToken) {
					words = append(words, base64.StdEncoding.EncodeToString([]byte(secret[:12])))
				}
				for _, word := range words {
					if i := strings.Index(said, word); i >= 0 {
						t.Errorf("%s shows in\n%s", word, said[max(0, i-500):min(len(said), i+200)])
					}
				}
				if signature := regexp.MustCompile(`Signature(=|%3D)[0-9a-f]+`).FindString(said); signature != "" {
					t.Errorf("a signature shows: %s", signature)
				}
				wantEchoes(t, said, mode == "services")
			})
		}
	}
}

// wantEchoes sees to it that there was something to hide, in each style of which something shows.
func wantEchoes(t *testing.T, said string, all bool) {
	t.Helper()
	for i := range styles {
		if !strings.Contains(said, fmt.Sprint("echo-", i)) && (all || i == 0) {
			t.Errorf("nothing of style %d shows in\n%.3000s", i, said)
		}
	}
	contains(t, said, "<hidden>")
}

// everything runs all commands with a configuration, and returns all that they say.
func everything(t *testing.T, file string) string {
	t.Helper()
	r := start(t, "", func(ctx context.Context, logs command.Logs, s command.Serving) error {
		s.EnableLifecycle = true
		return command.Serve(ctx, logs, s, file, nil)
	})
	r.log.waitFor(t, "credentials")
	said := ""
	for range 2 { // the second one shows what came too late for the first
		for _, path := range []string{"/metrics", "/", "/sd", "/probe?target=p00", "/metrics?collect[]=x", "/metrics?project[]=x", "/-/ready"} {
			said += r.get(t, path)
		}
	}
	said += check(t, file, false) + check(t, file, true)
	for _, q := range []command.Query{{}, {Output: "json"}, {Projects: []string{"x"}}} {
		said += (&people{}).query(t, file, q)
	}
	c, err := config.Load(t.Context(), file, providerstest.Five())
	if err != nil {
		t.Fatal(err)
	}
	said += fmt.Sprintf("%v %+v %#v", c, c, c)
	for _, a := range c.Accounts {
		said += fmt.Sprintf("%+v %#v %+v %+v", a.Credentials, a.Credentials, a.Credentials.Static, a.Credentials.Password)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(text), "projects:", leakySecretKey+": {"+leakyToken+": x}\n    projectz: "+leakyIDToken+" #", 1)
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Post(r.url+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	reloaded := read(t, resp)
	contains(t, reloaded, "500\n", "the configuration before stays in force")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	return said + reloaded + check(t, file, true) + r.log.String()
}

// leakyConfig has an account for each style of echo, with a project that is stated, one that is looked up, and all that can be discovered.
func leakyConfig(credentials, url string) string {
	var b strings.Builder
	fmt.Fprintln(&b, "services: {defaults: {max_in_flight: 64}}\naccounts:")
	for i := range styles {
		fmt.Fprintf(&b, `  - name: a%02[1]d
    credentials: {%[2]s}
    endpoints: {default: %[3]q, iam: %[3]q}
    projects: [{id: "%032[1]d", region: ap-southeast-3, name: p%02[1]d}, {region: ap-southeast-1, name: q%02[1]d}]
    discovery: {}
`, i, credentials, url)
	}
	return b.String()
}

// leakyCloud knows all secrets that are configured.
func leakyCloud() *cloudtest.Cloud {
	var projects []cloudsim.Project
	for i := range styles {
		projects = append(projects, cloudsim.Project{ID: fmt.Sprintf("%032d", i), Name: fmt.Sprintf("ap-southeast-3_p%02d", i)})
	}
	cloud := cloudtest.New(
		cloudsim.Account{Name: "main", AccessKey: leakyAccessKey, SecretKey: leakySecretKey, SecurityToken: leakyToken, Projects: projects},
		cloudsim.Account{Name: "other"},
	)
	cloud.SetIdentities("main", cloudtest.Identities{
		Users:            []cloudtest.User{{Name: "reader", Password: leakyPassword}},
		IdentityProvider: &cloudtest.IdentityProvider{ID: "idp", IDToken: leakyIDToken},
	})
	cloud.SetIdentities("other", cloudtest.Identities{Agencies: []cloudtest.Agency{{Name: "quotas", Trusts: "main"}}})
	cloud.SetMachine(cloudtest.Machine{Account: "main", PodAuthorization: leakyPodToken})
	return cloud
}

// leakyMachine is what lies on the machine of the exporter.
func leakyMachine(t *testing.T, url string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, contents := range map[string]string{
		"sk": leakySecretKey, "id_token": leakyIDToken, "password": leakyPassword, "pod_token": leakyPodToken,
		"profile": "[basic]\nak = " + leakyAccessKey + "\nsk = " + leakySecretKey + "\nsecurity_token = " + leakyToken + "\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"HUAWEICLOUD_SDK_AK": leakyAccessKey, "HUAWEICLOUD_SDK_SK": leakySecretKey, "HUAWEICLOUD_SDK_SECURITY_TOKEN": leakyToken,
		"HC_CONTAINER_CREDENTIALS_FULL_URI": url + "/pod-identity/credentials", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": dir + "/pod_token",
	} {
		t.Setenv(name, value)
	}
	return dir
}
