package credentials_test

import (
	"path/filepath"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/credentials"
)

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

func TestProfile(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, ".huaweicloud")
	makeDir(t, dir)
	other := filepath.Join(home, "other")
	write(t, filepath.Join(dir, "credentials"), "[basic]\nak = a1\nsk = s1\n\n[temporary]\nak=a2\nsk=s2\nsecurity_token=t2\n")
	write(t, other, "[basic]\nak = a3\nsk = s3\n")
	for _, tc := range []struct{ name, file, section, variable, want, describe string }{
		{name: "the SDK's own", want: "a1 s1 ", describe: "profile: " + dir + "/credentials, section basic"},
		{name: "another section", section: "temporary", want: "a2 s2 t2", describe: "profile: " + dir + "/credentials, section temporary"},
		{name: "another file", file: "~/other", want: "a3 s3 ", describe: "profile: " + other + ", section basic"},
		{name: "a file by a variable", variable: other, want: "a3 s3 ", describe: "profile: " + other + ", section basic"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := credentials.Profile(environ("HOME", home, "HUAWEICLOUD_SDK_CREDENTIALS_FILE", tc.variable), tc.file, tc.section)
			if got, err := reveal(t, p); got != tc.want || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			if got := p.Status().From; got != tc.describe || p.Check(t.Context()) != nil || !p.Status().Expires.IsZero() {
				t.Errorf("described as %s, %v", got, p.Check(t.Context()))
			}
		})
	}
}

// TestProfileKeepsSecretsWhole is about what INI libraries take for comments, quotes and continued lines.
func TestProfileKeepsSecretsWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	for _, key := range []string{"a;b", "a#b", `"ab"`, "'ab'", `ab\`, "a=b", "a%(x)sb", "a:b", "/+=="} {
		write(t, file, "[basic]\nak = AK\nsk = "+key+"\nsecurity_token = TOKEN\n")
		if got, err := reveal(t, credentials.Profile(environ(), file, "")); got != "AK "+key+" TOKEN" || err != nil {
			t.Errorf("%s: got %q, %v", key, got, err)
		}
	}
}

func TestBadProfiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	for contents, says := range map[string]string{
		"[basic]\nak = AK\n":                            "section [basic]: sk is missing",
		"[basic]\nidp_id = idp\nid_token_file = hidden": "ak is missing; want ak and sk, or state oidc",
		"[global]\nak = AK\nsk = hidden\n":              "has no section [basic]",
		"[basic\nak = hidden\n":                         "is no INI file; want sections such as [basic] with ak and sk",
		"[basic]\nak = AK\nsk = hidden hidden\n":        "sk holds more than a key",
	} {
		write(t, file, contents)
		_, err := reveal(t, credentials.Profile(environ(), file, ""))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "profile: "+file) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", contents, err, says)
		}
	}
	_, err := reveal(t, credentials.Profile(environ(), file+"2", ""))
	if err == nil || !strings.HasSuffix(err.Error(), "no such file or directory; want a file that the exporter may read, or another kind of credentials") {
		t.Errorf("without a file: %v", err)
	}
}
