package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/providers"
)

var update = flag.Bool("update", false, "update the texts of testdata/bad; read the diff before you commit it")

// TestBadFiles compares the error of each invalid file with the text file of the same name.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := parseFile(t, file)
			if err == nil {
				t.Fatal("no error")
			}
			wanted := strings.TrimSuffix(file, ".yml") + ".txt"
			if *update {
				if err := os.WriteFile(wanted, []byte(err.Error()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, errRead := os.ReadFile(wanted)
			if errRead != nil {
				t.Fatal(errRead)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if strings.Contains(err.Error(), mark) {
				t.Errorf("a secret is shown in %v", err)
			}
			if _, ok := errors.AsType[config.Errors](err); !ok {
				t.Errorf("%T, want Errors", err)
			}
		})
	}
}

// TestSecretAnywhere puts a secret, in every disguise, in the place of each key, each scalar, and each part of one.
func TestSecretAnywhere(t *testing.T) {
	const misplaced = "AKIAxSECRETx0123456789/+="
	bare := strings.TrimRight(misplaced, "/+=")
	disguises := []string{
		misplaced, `"` + misplaced + `"`, "'" + misplaced, `"` + misplaced, "{" + misplaced + "}", "[" + misplaced + "]",
		"*" + bare, "*" + bare + " :", "&" + bare + " x", "!" + bare + " x", "!!" + bare + " x", "!!int " + misplaced, "!!binary " + misplaced,
		"%" + misplaced, "`" + misplaced, misplaced + ": " + misplaced, misplaced + ":", "<<: " + misplaced, "? " + misplaced,
		"|\n" + misplaced, "\n" + misplaced + "\n", "https://" + misplaced, "#" + misplaced,
	}
	files, err := filepath.Glob("testdata/good/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "testdata/bad/several.yml", "testdata/bad/key-hidden.yml")
	place := regexp.MustCompile(`"[^"\n]*"|https?://\S+|[^\s\[\]{},:"]+`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			replaceEach(t, file, place, disguises)
		})
	}
}

func replaceEach(t *testing.T, file string, place *regexp.Regexp, disguises []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	places := place.FindAllIndex(text, -1)
	if testing.Short() {
		places = places[:min(len(places), 10)]
	}
	failed := 0
	for _, at := range places {
		for _, disguise := range disguises {
			changed := slices.Concat(text[:at[0]], []byte(disguise), text[at[1]:])
			_, err := config.Parse("c.yml", changed, known, inRegion)
			if err == nil {
				continue // a place where any text is valid
			}
			failed++
			if strings.Contains(err.Error(), mark) {
				t.Fatalf("a secret is shown in\n%v\nof\n%s", err, changed)
			}
		}
	}
	if failed < 5*len(places) {
		t.Errorf("only %d errors in %d places, want many", failed, len(places))
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yml", "testdata/bad/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("accounts: [{discovery: {regions: [eu-de], include: 'a.*'}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse("c.yml", text, known, inRegion)
		if err != nil {
			if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) == 0 || c != nil {
				t.Fatalf("got %T with %+v, want only Errors", err, c)
			}
			return
		}
		checkUsable(t, c)
	})
}

func checkUsable(t *testing.T, c *config.Config) {
	names, labels := make(map[string]bool), make(map[string]bool)
	for _, a := range c.Accounts {
		if a.Name == "" || names[a.Name] || len(a.Projects) == 0 && a.Discovery == nil {
			t.Errorf("account %+v has no unique name or no projects", a)
		}
		names[a.Name] = true
		for _, p := range a.Projects {
			if p.Name == "" || p.Region == "" || labels[p.Name] {
				t.Errorf("project %+v has no region or no unique name", p)
			}
			labels[p.Name] = true
		}
	}
	enabled := false
	for _, service := range c.Known {
		name := service.Name
		s, ok := c.Services[name]
		if !ok || s.CacheTTL < 0 || s.MaxStale < s.CacheTTL || s.Timeout <= 0 || s.MaxInFlight < 1 {
			t.Errorf("service %s is %+v", name, s)
		}
		enabled = enabled || s.Enabled
	}
	if len(c.Accounts) == 0 || len(c.Services) != len(c.Known) || !enabled {
		t.Errorf("%+v lacks accounts or services", c)
	}
}

// TestEveryKeyIsDocumented compares docs/configuration.md with the keys that the errors of unknown keys list, level by level. A key that every
// service has is documented once, under the name <service>.
func TestEveryKeyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"services.<service>.enabled"}
	isService := map[string]bool{}
	for _, s := range known {
		isService[s.Name] = true
	}
	for _, s := range providers.All() {
		for option := range s.Options {
			keys = append(keys, "services."+s.Name+"."+option)
		}
	}
	for level, text := range map[string]string{
		"accounts[].":                               "accounts: [{zz: 1}]",
		"accounts[].credentials.":                   "accounts: [{credentials: {zz: 1}}]",
		"accounts[].credentials.static.":            "accounts: [{credentials: {static: {zz: 1}}}]",
		"accounts[].credentials.profile.":           "accounts: [{credentials: {profile: {zz: 1}}}]",
		"accounts[].credentials.instance_metadata.": "accounts: [{credentials: {instance_metadata: {zz: 1}}}]",
		"accounts[].credentials.oidc.":              "accounts: [{credentials: {oidc: {zz: 1}}}]",
		"accounts[].credentials.password.":          "accounts: [{credentials: {password: {zz: 1}}}]",
		"accounts[].credentials.assume_agency.":     "accounts: [{credentials: {assume_agency: {zz: 1}}}]",
		"accounts[].endpoints.":                     "accounts: [{endpoints: {zz: 1}}]",
		"accounts[].projects[].":                    "accounts: [{projects: [{zz: 1}]}]",
		"accounts[].discovery.":                     "accounts: [{discovery: {zz: 1}}]",
		"services.":                                 "services: {zz: 1}",
		"services.defaults.":                        "services: {defaults: {zz: 1}}",
		"services.<service>.":                       "services: {my_api: {api: {path: /a, host: a}, zz: 1}}",
		"services.<service>.api.":                   "services: {my_api: {api: {zz: 1}}}",
		"limits[].":                                 "limits: [{zz: 1}]",
		"thresholds.":                               "thresholds: {zz: 1}",
		"thresholds.overrides[].":                   "thresholds: {overrides: [{zz: 1}]}",
	} {
		for _, key := range keysAt(t, text) {
			if isService[key] {
				key = "<service>"
			}
			keys = append(keys, level+key)
		}
	}
	var documented []string
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]+) \|`).FindAllStringSubmatch(string(doc), -1) {
		for key := range strings.SplitSeq(row[1], ", ") {
			documented = append(documented, strings.Trim(key, "`"))
		}
	}
	for _, key := range keys {
		if !slices.Contains(documented, key) {
			t.Errorf("%s is not documented", key)
		}
	}
	for _, key := range documented {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is documented, but not known", key)
		}
	}
	if got := strings.Join(keysAt(t, "services: {dbss: {zz: 1}}"), " "); got != "enabled cache_ttl timeout max_stale max_in_flight list_instances" {
		t.Errorf("keys of a service: %s", got)
	}
}

// keysAt returns the known keys at the place where a text has the unknown key zz.
func keysAt(t *testing.T, text string) []string {
	t.Helper()
	_, err := config.Parse("c.yml", []byte(text), known, inRegion)
	m := regexp.MustCompile(`\.zz: unknown key; known here: ([a-z_, ]*?)(, and your own services with api)?\n`).FindStringSubmatch(err.Error() + "\n")
	if m == nil {
		t.Fatalf("%s: %v", text, err)
	}
	return strings.Split(m[1], ", ")
}
