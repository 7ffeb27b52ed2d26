package credentials_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// reveal returns the keys of an authorizer as "AK SK token".
func reveal(t *testing.T, a huaweicloud.Authorizer) (string, error) {
	t.Helper()
	grant, err := a.Grant(t.Context(), huaweicloud.Scope{})
	if err != nil {
		if grant != nil {
			t.Errorf("a grant beside the error %v", err)
		}
		return "", err
	}
	k, ok := grant.(*huaweicloud.Keys)
	if !ok {
		t.Fatalf("%T, want keys", grant)
	}
	return k.AccessKey.Reveal() + " " + k.SecretKey.Reveal() + " " + k.SecurityToken.Reveal(), nil
}

func text(s string) credentials.Value { return credentials.Value{Text: secret.New(s)} }

func write(t *testing.T, file, contents string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStaticValues(t *testing.T) {
	a := credentials.Static(text("ak"), text("sk"), credentials.Value{})
	if got, err := reveal(t, a); got != "ak sk " || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	a.Reject(nil)
	if got, err := reveal(t, a); got != "ak sk " || err != nil {
		t.Errorf("after a 401: got %q, %v", got, err)
	}
	if shown := fmt.Sprintf("%+v %#v", text("sk"), text("sk")); strings.Contains(shown, "sk") {
		t.Errorf("the key shows: %s", shown)
	}
}

func TestStaticFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) credentials.Value { return credentials.Value{File: filepath.Join(dir, name)} }
	a := credentials.Static(file("ak"), file("sk"), file("token"))
	_, err := reveal(t, a)
	for _, part := range []string{"access_key_file ", "secret_key_file ", "security_token_file ", "no such file", "want a file that the exporter may read"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("without files: %v, want %q in it", err, part)
		}
	}
	write(t, filepath.Join(dir, "ak"), "ak1\n")
	write(t, filepath.Join(dir, "sk"), " sk1\r\n")
	write(t, filepath.Join(dir, "token"), "token1")
	if got, err := reveal(t, a); got != "ak1 sk1 token1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	write(t, filepath.Join(dir, "sk"), "sk2\n")
	if got, err := reveal(t, a); got != "ak1 sk2 token1" || err != nil {
		t.Errorf("after rotation: got %q, %v", got, err)
	}
	write(t, filepath.Join(dir, "sk"), "\n")
	if _, err := reveal(t, a); err == nil || !strings.Contains(err.Error(), "sk is empty; write the key into it") {
		t.Errorf("with an empty file: %v", err)
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	table := filepath.Join(dir, "credentials.csv")
	write(t, table, "User Name,Access Key Id,Secret Access Key\nadmin,AK,hidden\n")
	large := filepath.Join(dir, "large")
	write(t, large, strings.Repeat("hidden", 20_000))
	for says, a := range map[string]huaweicloud.Authorizer{
		"credentials.csv holds more than a key: want one word": credentials.Static(credentials.Value{File: table}, text("sk"), credentials.Value{}),
		"it is a directory, not a regular":                     credentials.Static(text("ak"), credentials.Value{File: dir}, credentials.Value{}),
		"larger than 65536 bytes":                              credentials.Static(text("ak"), credentials.Value{File: large}, credentials.Value{}),
		"secret_key holds more than a key":                     credentials.Static(text("ak"), text("hidden\nhidden"), credentials.Value{}),
		"environment: HW_SECRET_KEY holds more": credentials.Environment(func(name string) string {
			return map[string]string{"HW_ACCESS_KEY": "ak", "HW_SECRET_KEY": "hidden hidden"}[name]
		}),
	} {
		_, err := reveal(t, a)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, want %q and no key", err, says)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, source := range map[string]credentials.Source{
		"static: access_key in the configuration, secret_key_file /etc/sk":                                      credentials.Static(text("ak"), credentials.Value{File: "/etc/sk"}, credentials.Value{}),
		"static: access_key in the configuration, secret_key in the configuration, security_token_file /etc/st": credentials.Static(text("ak"), text("sk"), credentials.Value{File: "/etc/st"}),
		"environment: HW_ACCESS_KEY, HW_SECRET_KEY": credentials.Environment(func(name string) string {
			return map[string]string{"HW_ACCESS_KEY": "ak", "HW_SECRET_KEY": "sk"}[name]
		}),
		"environment": credentials.Environment(func(string) string { return "" }),
	} {
		if got := source.Status().From; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string
		says string
	}{
		{name: "SDK", env: map[string]string{"HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "b", "HUAWEICLOUD_SDK_SECURITY_TOKEN": "c"}, want: "a b c"},
		{name: "Terraform", env: map[string]string{"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b"}, want: "a b "},
		{name: "OpenStack", env: map[string]string{"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "b"}, want: "a b "},
		{
			name: "the SDK's come first", want: "a b ",
			env: map[string]string{"HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "b", "HW_ACCESS_KEY": "x", "HW_SECRET_KEY": "y", "HW_SECURITY_TOKEN": "z"},
		},
		{name: "Terraform, temporary", env: map[string]string{"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b", "HW_SECURITY_TOKEN": "c"}, want: "a b c"},
		{name: "OpenStack, temporary", env: map[string]string{"OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "b", "OS_SECURITY_TOKEN": "c"}, want: "a b c"},
		{
			name: "Terraform's come before OpenStack's", want: "a b ",
			env: map[string]string{"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b", "OS_ACCESS_KEY": "x", "OS_SECRET_KEY": "y", "OS_SECURITY_TOKEN": "z"},
		},
		{name: "no secret key", env: map[string]string{"HW_ACCESS_KEY": "a"}, says: "HW_ACCESS_KEY is set, but HW_SECRET_KEY is not"},
		{name: "no access key", env: map[string]string{"OS_SECRET_KEY": "hidden"}, says: "OS_SECRET_KEY is set, but OS_ACCESS_KEY is not"},
		{name: "nothing", says: "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := reveal(t, credentials.Environment(func(name string) string { return tc.env[name] }))
			if got != tc.want || (err == nil) != (tc.says == "") {
				t.Fatalf("got %q, %v; want %q", got, err, tc.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hidden")) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}
