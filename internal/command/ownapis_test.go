package command_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers"
)

// example is a section of the configuration, a request, a response, and the resulting metrics.
var example = regexp.MustCompile("(?s)```yaml\n(.*?)```\n\n```http\nGET (\\S+)\n```\n\n```json\n(.*?)```\n\n```prometheus\n(.*?)```")

// TestOwnAPIsAreDocumented serves the responses of docs/own-apis.md and compares the metrics with the page.
func TestOwnAPIsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/own-apis.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(string(doc), -1)
	if n := strings.Count(string(doc), "```yaml"); n != len(examples) || n < 3 {
		t.Fatalf("%d examples of %d are complete", len(examples), n)
	}
	for _, m := range examples {
		section, request, response, metrics := m[1], m[2], m[3], m[4]
		name := regexp.MustCompile(`(?m)^  (\w+):$`).FindStringSubmatch(section)[1]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := ownAPI(t, section)
			if got := api.Host.BaseURL("ap-southeast-3", "") + api.Path; got != request {
				t.Errorf("the request is %s, want %s", got, request)
			}
			owner := "prod"
			if api.Account {
				owner = "main"
			}
			path, _, _ := strings.Cut(api.Path, "?")
			cloud := cloudtest.Wrap(cloudsim.New([]cloudsim.API{{Service: name, Path: path, Host: api.Host.Label, Account: api.Account, Example: []byte(response)}}, cloudsim.Account{
				Name: "main", AccessKey: accessKey, SecretKey: secretKey, SecurityToken: token,
				Projects: []cloudsim.Project{{ID: projectID, Name: "ap-southeast-3"}},
			}))
			at := listen(t, cloud)
			r := serve(t, "", configuration(t, "{iam: "+at+", "+name+": "+at+"}", write(t, "sk", secretKey), section), nil)
			page := r.get(t, "/metrics?collect%5B%5D="+name)
			quotas := regexp.MustCompile(`(?m)^cloud_quota_(?:info|limit|remaining|used)\{.*\n`).FindAllString(page, -1)
			if got := strings.Join(quotas, ""); got != metrics {
				t.Errorf("got\n%s\nwant\n%s", page, metrics)
			}
			contains(t, page, `cloud_quota_up{project="`+owner+`",service="`+name+`"} 1`, `cloud_quota_resources_skipped{project="`+owner+`",service="`+name+`"} 0`)
		})
	}
}

// ownAPI returns the description of the API in a text.
func ownAPI(t *testing.T, text string) *providers.API {
	t.Helper()
	c, err := config.Parse("page.yml", []byte(text), providers.All(), func(name string) string {
		return map[string]string{"HW_REGION_NAME": "ap-southeast-3"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Known[len(c.Known)-1].API
}

// TestBuiltInNamesAreInTheChangelog: the user's own APIs cannot have built-in names, so the changelog lists each added name.
func TestBuiltInNamesAreInTheChangelog(t *testing.T) {
	changes, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range providers.All() {
		if !s.Enabled && !strings.Contains(string(changes), "`"+s.Name+"`") {
			t.Errorf("CHANGELOG.md does not list the built-in name %s", s.Name)
		}
	}
}
