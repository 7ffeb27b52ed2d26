package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

var dial = new(net.Dialer).DialContext

// reveal returns the keys of a source as "AK SK token".
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

// wantKeys asserts that a source has keys, or that its error has all parts of says and no secret.
func wantKeys(t *testing.T, name string, a huaweicloud.Authorizer, want string, says ...string) {
	t.Helper()
	got, err := reveal(t, a)
	if got != want || (err == nil) != (len(says) == 0) {
		t.Errorf("%s: got %q, %v; want %q, %q", name, got, err, want, says)
		return
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", name, err, part)
		}
	}
	for _, hidden := range []string{"PRIVATE", "PASS", "WORD"} {
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %s shows in %v", name, hidden, err)
		}
	}
}

func text(s string) config.Secret    { return config.Secret{Text: secret.New(s)} }
func file(name string) config.Secret { return config.Secret{File: name} }

func static(accessKey, secretKey, securityToken config.Secret) credentials.Source {
	return credentials.New(staticKeys(accessKey, secretKey, securityToken), credentials.Deps{})
}

func staticKeys(accessKey, secretKey, securityToken config.Secret) config.Credentials {
	return config.Credentials{Static: &config.Static{AccessKey: accessKey, SecretKey: secretKey, SecurityToken: securityToken}}
}

func environment(getenv func(string) string) credentials.Source {
	return credentials.New(config.Credentials{Environment: &config.Environment{}}, credentials.Deps{Getenv: getenv})
}

func profile(getenv func(string) string, file, section string) credentials.Source {
	return credentials.New(config.Credentials{Profile: &config.Profile{File: file, Section: section}}, credentials.Deps{Getenv: getenv})
}

// chain is the default chain, in a machine without network.
func chain(getenv func(string) string) credentials.Source {
	nowhere := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nowhere") }
	return credentials.New(config.Credentials{}, credentials.Deps{Getenv: getenv, Dial: nowhere})
}

// environ returns getenv for pairs of names and values.
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

func pod(url, tokenFile string) credentials.Source {
	getenv := environ("HC_CONTAINER_CREDENTIALS_FULL_URI", url, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", tokenFile)
	return credentials.New(config.Credentials{PodIdentity: &config.PodIdentity{}}, credentials.Deps{Getenv: getenv, Dial: dial})
}

// byIAM is a source that asks IAM at a URL.
func byIAM(url string, c config.Credentials) credentials.Source {
	client := func(string) *huaweicloud.Client {
		return &huaweicloud.Client{
			HTTP: huaweicloud.NewHTTPClient(dial, "", 1), Service: "iam", BaseURL: url, Events: func(string, string, time.Duration) {},
		}
	}
	return credentials.New(c, credentials.Deps{IAM: client, Logins: credentials.NewLogins()})
}

func oidc(url, tokenFile string) credentials.Source {
	return byIAM(url, config.Credentials{OIDC: &config.OIDC{IDPID: "idp", TokenFile: tokenFile}})
}

func byPassword(p config.Secret) config.Credentials {
	return config.Credentials{Password: &config.Password{DomainName: "main", UserName: "reader", Password: p}}
}

func password(url string, p config.Secret) credentials.Source { return byIAM(url, byPassword(p)) }

func agency(url string, base config.Credentials) credentials.Source {
	base.AssumeAgency = &config.AssumeAgency{DomainName: "main", AgencyName: "quotas", Duration: time.Hour}
	return byIAM(url, base)
}

type answers map[string]http.HandlerFunc

// serve answers by method and path, else with a 404, and returns its URL.
func serve(t *testing.T, a answers) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := a[r.Method+" "+r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func write(t *testing.T, file, contents string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(file, contents)
}

func mustWrite(file, contents string) {
	if err := os.WriteFile(file, []byte(contents), 0o600); err != nil {
		panic(err)
	}
}

// want asserts that the text of an error has a part.
func want(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want %s", err, part)
	}
}

// TestStatus: what is known of a source before keys are needed, and what Check finds.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	missing, inFile := filepath.Join(dir, "missing"), filepath.Join(dir, "profile")
	write(t, inFile, "[basic]\nak = a\nsk = s\n")
	none, keys := environ(), environ("HW_ACCESS_KEY", "A", "HW_SECRET_KEY", "S")
	named := environ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", inFile)
	selected := chain(named)
	wantKeys(t, "chain", selected, "a s ")
	for _, tc := range []struct {
		source             credentials.Source
		from, files, wrong string
	}{
		{static(text("a"), file(missing), config.Secret{}), "static: access_key in the configuration, secret_key_file " + missing, missing, "no such file"},
		{static(text("a"), text("s"), file(inFile)), "static: access_key in the configuration, secret_key in the configuration, security_token_file " + inFile, inFile, "more than a key"},
		{static(text("a"), text("s"), config.Secret{}), "static: access_key in the configuration, secret_key in the configuration", "", ""},
		{environment(none), "environment", "", "no keys are set"},
		{environment(keys), "environment: HW_ACCESS_KEY, HW_SECRET_KEY", "", ""},
		{profile(named, "", ""), "profile: " + inFile + ", section basic", inFile, ""},
		{credentials.New(config.Credentials{InstanceMetadata: &config.InstanceMetadata{}}, credentials.Deps{}), "instance_metadata: http://169.254.169.254", "", ""},
		{pod("", ""), "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", "", "is not set"},
		{pod("", missing), "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", missing, "is not set"},
		{oidc("", missing), "oidc: identity provider idp, token_file " + missing, missing, "no such file"},
		{password("", file(missing)), "password: user reader of main, password_file " + missing, missing, "no such file"},
		{password("", text("p")), "password: user reader of main, password in the configuration", "", ""},
		{agency("", byPassword(file(missing))), "assume_agency: quotas of main, by password: user reader of main, password_file " + missing, missing, "no such file"},
		{chain(keys), "default chain: environment: HW_ACCESS_KEY, HW_SECRET_KEY", "", ""},
		{chain(none), "default chain: instance_metadata: http://169.254.169.254", "", ""},
		{chain(environ("HW_ACCESS_KEY", "A")), "default chain: environment", "", "HW_SECRET_KEY is not"},
		{chain(named), "default chain: profile: " + inFile + ", section basic", inFile, ""},
		{selected, "profile: " + inFile + ", section basic", inFile, ""},
	} {
		err := tc.source.Check(t.Context())
		if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %v, want %q", tc.from, err, tc.wrong)
		}
		got := tc.source.Status()
		if got.From != tc.from || strings.Join(got.Files, " ") != tc.files || got.Err != nil || !got.Expires.IsZero() {
			t.Errorf("got %+v, want %s, %s", got, tc.from, tc.files)
		}
	}
}

func TestPermanentKeys(t *testing.T) {
	dir := t.TempDir()
	table, large, empty := filepath.Join(dir, "credentials.csv"), filepath.Join(dir, "large"), filepath.Join(dir, "empty")
	write(t, table, "User Name,Access Key Id,Secret Access Key\nadmin,AK,PRIVATE\n")
	write(t, large, strings.Repeat("PRIVATE", 10_000))
	write(t, empty, " \n")
	for _, tc := range []struct {
		name   string
		source credentials.Source
		want   string
		says   []string
	}{
		{"stated", static(text("ak"), text("sk"), config.Secret{}), "ak sk ", nil},
		{"no files", static(file("/1"), file("/2"), file("/3")), "", []string{"access_key_file /1", "secret_key_file /2", "security_token_file /3", "no such file", "want a file that the exporter may read"}},
		{"a table", static(file(table), text("sk"), config.Secret{}), "", []string{"credentials.csv holds more than a key: want one word"}},
		{"a directory", static(text("ak"), file(dir), config.Secret{}), "", []string{"it is a directory, not a regular"}},
		{"a large file", static(text("ak"), file(large), config.Secret{}), "", []string{"larger than 65536 bytes"}},
		{"an empty file", static(text("ak"), file(empty), config.Secret{}), "", []string{"empty is empty; write the key into it"}},
		{"two lines", static(text("ak"), text("PRIVATE\nPRIVATE"), config.Secret{}), "", []string{"secret_key holds more than a key"}},
	} {
		wantKeys(t, tc.name, tc.source, tc.want, tc.says...)
	}
	for _, tc := range []struct{ env, want, says string }{
		{env: "HUAWEICLOUD_SDK_AK a HUAWEICLOUD_SDK_SK b HUAWEICLOUD_SDK_SECURITY_TOKEN c", want: "a b c"},
		{env: "HW_ACCESS_KEY a HW_SECRET_KEY b HW_SECURITY_TOKEN c", want: "a b c"},
		{env: "OS_ACCESS_KEY a OS_SECRET_KEY b OS_SECURITY_TOKEN c", want: "a b c"},
		{env: "HW_ACCESS_KEY x HW_SECRET_KEY y HW_SECURITY_TOKEN z HUAWEICLOUD_SDK_AK a HUAWEICLOUD_SDK_SK b", want: "a b "},
		{env: "OS_ACCESS_KEY x OS_SECRET_KEY y OS_SECURITY_TOKEN z HW_ACCESS_KEY a HW_SECRET_KEY b", want: "a b "},
		{env: "HW_ACCESS_KEY a", says: "HW_ACCESS_KEY is set, but HW_SECRET_KEY is not"},
		{env: "OS_SECRET_KEY PRIVATE", says: "OS_SECRET_KEY is set, but OS_ACCESS_KEY is not"},
		{env: "HW_ACCESS_KEY ak HW_SECRET_KEY PRIVATE\tPRIVATE", says: "environment: HW_SECRET_KEY holds more"},
		{says: "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"},
	} {
		var says []string
		if tc.says != "" {
			says = []string{tc.says}
		}
		wantKeys(t, tc.env, environment(environ(strings.Split(tc.env+" ", " ")...)), tc.want, says...)
	}
}

func TestStaticFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := static(file(dir+"/ak"), file(dir+"/sk"), file(dir+"/token"))
	write(t, dir+"/ak", "ak1\n")
	write(t, dir+"/sk", " sk1\r\n")
	write(t, dir+"/token", "token1")
	wantKeys(t, "at first", s, "ak1 sk1 token1")
	write(t, dir+"/sk", "sk2\n")
	s.Reject(nil)
	wantKeys(t, "after rotation", s, "ak1 sk2 token1")
	os.Remove(dir + "/sk")
	if wantKeys(t, "removed", s, "", "no such file"); s.Status().Err == nil {
		t.Error("the status has no error")
	}
}

func TestProfile(t *testing.T) {
	home := t.TempDir()
	usual, other := filepath.Join(home, ".huaweicloud", "credentials"), filepath.Join(home, "other")
	write(t, usual, "[basic]\nak = a1\nsk = s1\n\n[temporary]\nak=a2\nsk=s2\nsecurity_token=t2\n")
	write(t, other, "[basic]\nak = a3\nsk = s3\n")
	for _, tc := range []struct{ file, section, variable, want, from string }{
		{want: "a1 s1 ", from: usual + ", section basic"},
		{section: "temporary", want: "a2 s2 t2", from: usual + ", section temporary"},
		{file: "~/other", want: "a3 s3 ", from: other + ", section basic"},
		{variable: other, want: "a3 s3 ", from: other + ", section basic"},
	} {
		p := profile(environ("HOME", home, "HUAWEICLOUD_SDK_CREDENTIALS_FILE", tc.variable), tc.file, tc.section)
		wantKeys(t, tc.from, p, tc.want)
		if got := p.Status().From; got != "profile: "+tc.from {
			t.Errorf("from %s, want %s", got, tc.from)
		}
	}
	for contents, says := range map[string]string{
		"[basic]\nak = AK\n":                             "section [basic]: sk is missing",
		"[basic]\nidp_id = idp\nid_token_file = PRIVATE": "ak is missing; want ak and sk, or state oidc",
		"[global]\nak = AK\nsk = PRIVATE\n":              "has no section [basic]",
		"[basic\nak = PRIVATE\n":                         "is no INI file; want sections such as [basic] with ak and sk",
		"[basic]\nak = AK\nsk = PRIVATE PRIVATE\n":       "sk holds more than a key",
	} {
		write(t, other, contents)
		wantKeys(t, contents, profile(environ(), other, ""), "", says, "profile: "+other)
	}
	wantKeys(t, "no file", profile(environ(), other+"2", ""), "", "no such file or directory; want a file that the exporter may read, or another kind of credentials")
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestFilesThatHang: no call to a source waits longer than it may, and Status does not wait.
func TestFilesThatHang(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), ".huaweicloud", "credentials")
	write(t, hangs, "[basic]\nak = a\nsk = s\n")
	hanging := filestest.Hang(t, hangs)
	const nowhere = "http://127.0.0.1:1"
	hangingFile := environ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", hangs)
	inFile := staticKeys(text("ak"), file(hangs), config.Secret{})
	for _, source := range []credentials.Source{
		credentials.New(inFile, credentials.Deps{}), profile(hangingFile, "", ""), pod(nowhere, hangs), oidc(nowhere, hangs), password(nowhere, file(hangs)),
		chain(hangingFile), agency(nowhere, inFile),
	} {
		start := time.Now()
		if err := source.Check(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response from the file system") {
			t.Errorf("checked, %v", err)
		}
		if grant, err := source.Grant(within(t, 50*time.Millisecond), huaweicloud.Scope{}); grant != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("granted %v, %v", grant, err)
		}
		status := source.Status()
		if took := time.Since(start); fmt.Sprint(status.Files) != "["+hangs+"]" || took > 3*time.Second {
			t.Errorf("%+v after %s", status, took)
		}
	}
	home := strings.TrimSuffix(hangs, "/.huaweicloud/credentials")
	next := chain(environ("HOME", home))
	if err := next.Check(within(t, 100*time.Millisecond)); err != nil || next.Status().From != "default chain: instance_metadata: http://169.254.169.254" {
		t.Errorf("the default profile hangs: %v, %s", err, next.Status().From)
	}
	hanging.Release()
	wantKeys(t, "released", profile(hangingFile, "", ""), "a s ")
}

// TestPasswordFileThatHangsHoldsNobody: while a refused password is read again, the rest of the source is not locked.
func TestPasswordFileThatHangsHoldsNobody(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "password")
	write(t, hangs, "wrong")
	p := password(serve(t, answers{tokens: refuses(http.StatusUnauthorized, "no")}), file(hangs))
	if _, err := p.Grant(t.Context(), huaweicloud.Scope{}); huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
		t.Fatalf("got %v", err)
	}
	hanging := filestest.Hang(t, hangs)
	granted := make(chan error)
	go func() {
		_, err := p.Grant(t.Context(), huaweicloud.Scope{})
		granted <- err
	}()
	hanging.WaitForReader(t)
	others := make(chan struct{})
	go func() {
		defer close(others)
		p.Status()
		p.Reject(nil)
	}()
	select {
	case <-others:
	case <-granted:
		t.Fatal("others waited for the file")
	}
	hanging.Release()
	if err := <-granted; huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
		t.Errorf("got %v", err)
	}
}
