package credentials_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/credentials"
)

func TestDescribeAndCheck(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	user := credentials.User{DomainName: "main", Name: "reader", Password: credentials.Value{File: missing}}
	agency := credentials.Agency{DomainName: "main", Name: "quotas", Duration: time.Hour}
	for _, tc := range []struct {
		source      credentials.Source
		want, wrong string
	}{
		{credentials.InstanceMetadata(dial, "http://169.254.169.254"), "instance_metadata: http://169.254.169.254", ""},
		{credentials.PodIdentity(dial, environ()), "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", "is not set"},
		{credentials.OIDC(iam(""), "", "idp", missing), "oidc: identity provider idp, token_file " + missing, "no such file"},
		{credentials.Password(iam(""), "", user, credentials.NewLogins()), "password: user reader of main, password_file " + missing, "no such file"},
		{
			credentials.AssumeAgency(credentials.Password(iam(""), "", user, credentials.NewLogins()), iam(""), "", agency),
			"assume_agency: quotas of main, by password: user reader of main, password_file " + missing, "no such file",
		},
		{credentials.Chain(credentials.Environment(environ()), credentials.PodIdentity(dial, environ())), "default chain: environment, profile, instance_metadata, pod_identity", ""},
		{credentials.Chain(credentials.Environment(environ("HW_ACCESS_KEY", "A", "HW_SECRET_KEY", "S"))), "default chain: environment: HW_ACCESS_KEY, HW_SECRET_KEY", ""},
		{credentials.Chain(credentials.Environment(environ()), credentials.InstanceMetadata(dial, "http://169.254.169.254")), "default chain: instance_metadata: http://169.254.169.254", ""},
		{credentials.Chain(credentials.Environment(environ("HW_ACCESS_KEY", "A"))), "default chain: environment", "HW_SECRET_KEY is not"},
	} {
		err := tc.source.Check(t.Context())
		if got := tc.source.Status().From; got != tc.want {
			t.Errorf("described as %s, want %s", got, tc.want)
		}
		if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %v, want %q", tc.want, err, tc.wrong)
		}
		if !tc.source.Status().Expires.IsZero() {
			t.Errorf("%s: keys that nobody asked for expire at %s", tc.want, tc.source.Status().Expires)
		}
	}
}

// TestFiles: what others must not read.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "profile")
	write(t, profile, "[basic]\nak = a\nsk = s\n")
	file := credentials.Value{File: "a file"}
	password := credentials.Password(iam(""), "", credentials.User{Password: file}, credentials.NewLogins())
	home := environ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", profile)
	chain := credentials.Chain(credentials.Environment(environ()), credentials.Profile(home, "", ""))
	taken := credentials.Chain(credentials.Environment(environ()), credentials.Profile(home, "", ""))
	if _, err := reveal(t, taken); err != nil {
		t.Fatal(err)
	}
	if err := chain.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		source credentials.Source
		want   string
	}{
		{credentials.Static(text("a"), file, credentials.Value{File: "another"}), "[a file another]"},
		{credentials.Static(text("a"), text("s"), credentials.Value{}), "[]"},
		{credentials.Environment(environ("HW_ACCESS_KEY", "a")), "[]"},
		{credentials.Profile(home, "", ""), "[" + profile + "]"},
		{credentials.InstanceMetadata(dial, "http://169.254.169.254"), "[]"},
		{credentials.PodIdentity(dial, environ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "a token")), "[a token]"},
		{credentials.PodIdentity(dial, environ()), "[]"},
		{credentials.OIDC(iam(""), "", "idp", "a token"), "[a token]"},
		{password, "[a file]"},
		{credentials.Password(iam(""), "", credentials.User{Password: text("p")}, credentials.NewLogins()), "[]"},
		{credentials.AssumeAgency(password, iam(""), "", credentials.Agency{}), "[a file]"},
		{chain, "[" + profile + "]"},
		{taken, "[" + profile + "]"},
		{credentials.Chain(credentials.Environment(environ())), "[]"},
	} {
		if got := fmt.Sprint(tc.source.Status().Files); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.source.Status().From, got, tc.want)
		}
	}
}

func makeDir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
