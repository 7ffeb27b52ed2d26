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
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers/providerstest"
)

// source is the source of the credentials in a configuration, or of the default chain.
func source(t *testing.T, d credentials.Deps, yaml string) credentials.Source {
	t.Helper()
	if yaml == "" {
		return credentials.New(config.Credentials{}, d)
	}
	yaml = "accounts: [{credentials: {" + yaml + "}, projects: [{region: ap-southeast-3}]}]"
	c, err := config.Parse("test.yml", []byte(yaml), providerstest.Five(), os.Getenv)
	if err != nil {
		t.Fatal(yaml, err)
	}
	return credentials.New(c.Accounts[0].Credentials, d)
}

// machine has environment variables, given as pairs of names and values, and a URL of IAM.
func machine(iam string, env ...string) credentials.Deps {
	return credentials.Deps{
		Dial: new(net.Dialer).DialContext, Logins: credentials.NewLogins(),
		Getenv: func(name string) string {
			for i := 0; i < len(env); i += 2 {
				if env[i] == name {
					return env[i+1]
				}
			}
			return ""
		},
		IAM: func(string) *huaweicloud.Client {
			return &huaweicloud.Client{
				HTTP: huaweicloud.NewHTTPClient(new(net.Dialer).DialContext, "", 1), Service: "iam", BaseURL: iam, Events: func(string, string, time.Duration) {},
			}
		},
	}
}

const (
	podURI     = "HC_CONTAINER_CREDENTIALS_FULL_URI"
	podFile    = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"
	sdkProfile = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
	quotas     = ", assume_agency: {domain_name: main, agency_name: quotas, duration: 24h}"
)

func oidc(file string) string         { return "oidc: {idp_id: idp, token_file: " + file + "}" }
func passwordFile(file string) string { return reader("password_file: " + file) }
func reader(password string) string {
	return "password: {domain_name: main, user_name: reader, " + password + "}"
}

// reveal returns the keys of a source as "AK SK token".
func reveal(t *testing.T, a huaweicloud.Authorizer) (string, error) {
	t.Helper()
	grant, err := a.Grant(t.Context(), huaweicloud.Scope{})
	if err != nil {
		if grant != nil {
			t.Errorf("a grant with the error %v", err)
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
		wantText(t, err, part)
	}
	for _, hidden := range []string{"PRIVATE", "PASS", "WORD"} {
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %s shows in %v", name, hidden, err)
		}
	}
}

// wantText asserts that the text of an error contains a part.
func wantText(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want %q", err, part)
	}
}

type answers map[string]http.HandlerFunc

// serve responds by method and path, otherwise with a 404, and returns its URL.
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

func write(file, contents string) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(contents), 0o600)); err != nil {
		panic(err)
	}
}

// TestStatus: the status of a source before keys are needed, and the result of Check.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	missing, profile := filepath.Join(dir, "missing"), filepath.Join(dir, "profile")
	write(profile, "[basic]\nak = a\nsk = s\n")
	none, keys, inProfile := machine(""), machine("", "HW_ACCESS_KEY", "A", "HW_SECRET_KEY", "S"), machine("", sdkProfile, profile)
	pod := machine("", podFile, missing)
	for _, tc := range []struct {
		deps                     credentials.Deps
		yaml, from, files, wrong string
	}{
		{none, "static: {access_key: a, secret_key_file: " + missing + "}", "static: access_key in the configuration, secret_key_file " + missing, missing, "no such file"},
		{none, "static: {access_key: a, secret_key: s, security_token_file: " + profile + "}", "static: access_key in the configuration, secret_key in the configuration, security_token_file " + profile, profile, "more than a key"},
		{none, "static: {access_key: a, secret_key: s}", "static: access_key in the configuration, secret_key in the configuration", "", ""},
		{none, "environment: {}", "environment", "", "no keys set"},
		{keys, "environment: {}", "environment: HW_ACCESS_KEY, HW_SECRET_KEY", "", ""},
		{inProfile, "profile: {}", "profile: " + profile + ", section basic", profile, ""},
		{none, "instance_metadata: {}", "instance_metadata: http://169.254.169.254", "", ""},
		{none, "pod_identity: {}", "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", "", "is not set"},
		{pod, "pod_identity: {}", "pod_identity: HC_CONTAINER_CREDENTIALS_FULL_URI", missing, "is not set"},
		{none, oidc(missing), "oidc: identity provider idp, token_file " + missing, missing, "no such file"},
		{none, passwordFile(missing), "password: user reader of main, password_file " + missing, missing, "no such file"},
		{none, reader("password: p"), "password: user reader of main, password in the configuration", "", ""},
		{none, passwordFile(missing) + quotas, "assume_agency: quotas of main, with password: user reader of main, password_file " + missing, missing, "no such file"},
		{keys, "environment: {}, assume_agency: {domain_id: 5, agency_name: quotas}", "assume_agency: quotas of domain_id 5, with environment: HW_ACCESS_KEY, HW_SECRET_KEY", "", ""},
		{keys, "", "default chain: environment: HW_ACCESS_KEY, HW_SECRET_KEY", "", ""},
		{none, "", "default chain: instance_metadata: http://169.254.169.254", "", ""},
		{machine("", "HW_ACCESS_KEY", "A"), "", "default chain: environment", "", "HW_SECRET_KEY is not"},
		{inProfile, "", "default chain: profile: " + profile + ", section basic", profile, ""},
	} {
		s := source(t, tc.deps, tc.yaml)
		err := s.Check(t.Context())
		if (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s: %v, want %q", tc.from, err, tc.wrong)
		}
		got := s.Status()
		if got.From != tc.from || strings.Join(got.Files, " ") != tc.files || got.Err != nil || !got.Expires.IsZero() {
			t.Errorf("got %+v, want %s, %s", got, tc.from, tc.files)
		}
	}
	selected := source(t, inProfile, "")
	wantKeys(t, "chain", selected, "a s ")
	if got := selected.Status(); got.From != "profile: "+profile+", section basic" || fmt.Sprint(got.Files) != "["+profile+"]" {
		t.Errorf("got %+v", got)
	}
}

func TestStaticKeys(t *testing.T) {
	dir := t.TempDir()
	write(dir+"/table", "User Name,Access Key Id,Secret Access Key\nadmin,AK,PRIVATE\n")
	write(dir+"/large", strings.Repeat("PRIVATE", 10_000))
	write(dir+"/empty", " \n")
	for _, tc := range []struct{ yaml, want, says string }{
		{"access_key: ak, secret_key: sk", "ak sk ", ""},
		{"access_key_file: /1, secret_key_file: /2, security_token_file: /3", "", "access_key_file /1: |secret_key_file /2: |security_token_file /3: |no such file|create the file, with only the key in it"},
		{"access_key_file: DIR/table, secret_key: sk", "", "table has more than a key: expected one word"},
		{"access_key: ak, secret_key_file: DIR", "", "it is a directory, not a regular|use another file, with only the key in it"},
		{"access_key: ak, secret_key_file: DIR/large", "", "larger than 65536 bytes"},
		{"access_key: ak, secret_key_file: DIR/empty", "", "empty is empty; write only the key to it"},
		{`access_key: ak, secret_key: "PRIVATE\nPRIVATE"`, "", "secret_key has more than a key"},
	} {
		s := source(t, machine(""), "static: {"+strings.ReplaceAll(tc.yaml, "DIR", dir)+"}")
		wantKeys(t, tc.yaml, s, tc.want, parts(tc.says)...)
	}
	s := source(t, machine(""), "static: {access_key_file: "+dir+"/ak, secret_key_file: "+dir+"/sk, security_token_file: "+dir+"/token}")
	write(dir+"/ak", "ak1\n")
	write(dir+"/sk", " sk1\r\n")
	write(dir+"/token", "token1")
	wantKeys(t, "at first", s, "ak1 sk1 token1")
	write(dir+"/sk", "sk2\n")
	s.Reject(nil)
	wantKeys(t, "after rotation", s, "ak1 sk2 token1")
}

// TestFilesThatAreReplaced: the last good value is used while a file is empty, invalid, or missing, for 30 seconds.
func TestFilesThatAreReplaced(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.write("ak", "ak1")
		w.write("sk", "sk1")
		w.write("profile", "[basic]\nak = ak1\nsk = sk1\n")
		for yaml, file := range map[string]string{
			"static: {access_key_file: " + dir + "/ak, secret_key_file: " + dir + "/sk}": "sk", "profile: {file: " + dir + "/profile}": "profile",
		} {
			s, good := source(t, w.deps, yaml), "ak1 sk1 "
			contents, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for name, replace := range map[string]func(){
				"empty":   func() { w.write(file, "") },
				"missing": func() { os.Remove(filepath.Join(dir, file)) },
				"broken":  func() { w.write(file, "[bas ic") },
			} {
				wantKeys(t, "before it is "+name, s, good)
				replace()
				wantKeys(t, name, s, good)
				<-time.After(30*time.Second - 1)
				wantKeys(t, name+" for 30 seconds", s, good)
				<-time.After(1)
				if wantKeys(t, name+" for longer", s, "", file); s.Status().Err == nil {
					t.Error("the status has no error")
				}
				w.write(file, string(contents))
				wantKeys(t, "after it was "+name, s, good)
			}
		}
	})
}

// parts splits the text of an error. An empty text is no error.
func parts(says string) []string {
	return strings.FieldsFunc(says, func(r rune) bool { return r == '|' })
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct{ env, want, says string }{
		{env: "HUAWEICLOUD_SDK_AK a HUAWEICLOUD_SDK_SK b HUAWEICLOUD_SDK_SECURITY_TOKEN c", want: "a b c"},
		{env: "HW_ACCESS_KEY a HW_SECRET_KEY b HW_SECURITY_TOKEN c", want: "a b c"},
		{env: "OS_ACCESS_KEY a OS_SECRET_KEY b OS_SECURITY_TOKEN c", want: "a b c"},
		{env: "HW_ACCESS_KEY x HW_SECRET_KEY y HW_SECURITY_TOKEN z HUAWEICLOUD_SDK_AK a HUAWEICLOUD_SDK_SK b", want: "a b "},
		{env: "OS_ACCESS_KEY x OS_SECRET_KEY y OS_SECURITY_TOKEN z HW_ACCESS_KEY a HW_SECRET_KEY b", want: "a b "},
		{env: "HW_ACCESS_KEY a", says: "HW_ACCESS_KEY is set, but HW_SECRET_KEY is not"},
		{env: "OS_SECRET_KEY PRIVATE", says: "OS_SECRET_KEY is set, but OS_ACCESS_KEY is not"},
		{env: "HW_ACCESS_KEY ak HW_SECRET_KEY PRIVATE\tPRIVATE", says: "environment: HW_SECRET_KEY has more"},
		{says: "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"},
	} {
		wantKeys(t, tc.env, source(t, machine("", strings.Split(tc.env+" ", " ")...), "environment: {}"), tc.want, parts(tc.says)...)
	}
}

func TestProfile(t *testing.T) {
	home := t.TempDir()
	usual, other := filepath.Join(home, ".huaweicloud", "credentials"), filepath.Join(home, "other")
	write(usual, "[basic]\nak = a1\nsk = s1\n\n[temporary]\nak=a2\nsk=s2\nsecurity_token=t2\n")
	write(other, "[basic]\nak = a3\nsk = s3\n")
	for _, tc := range []struct{ yaml, variable, want, from string }{
		{yaml: "{}", want: "a1 s1 ", from: usual + ", section basic"},
		{yaml: "{section: temporary}", want: "a2 s2 t2", from: usual + ", section temporary"},
		{yaml: "{file: ~/other}", want: "a3 s3 ", from: other + ", section basic"},
		{yaml: "{}", variable: other, want: "a3 s3 ", from: other + ", section basic"},
	} {
		p := source(t, machine("", "HOME", home, sdkProfile, tc.variable), "profile: "+tc.yaml)
		wantKeys(t, tc.from, p, tc.want)
		if got := p.Status().From; got != "profile: "+tc.from {
			t.Errorf("from %s, want %s", got, tc.from)
		}
	}
	for contents, says := range map[string]string{
		"[basic]\nak = AK\n":                             "section [basic]: sk is missing",
		"[basic]\nidp_id = idp\nid_token_file = PRIVATE": "ak is missing; add ak and sk, or configure oidc",
		"[global]\nak = AK\nsk = PRIVATE\n":              "has no section [basic]",
		"[basic\nak = PRIVATE\n":                         "is not an INI file; use sections such as [basic] with ak and sk",
		"[basic]\nak = AK\nsk = PRIVATE PRIVATE\n":       "sk has more than a key",
	} {
		write(other, contents)
		wantKeys(t, contents, source(t, machine(""), "profile: {file: "+other+"}"), "", says, "profile: "+other)
	}
	wantKeys(t, "no file", source(t, machine(""), "profile: {file: "+other+"2}"), "",
		"no such file or directory; create the file, or configure another kind of credentials")
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestFilesThatHang: no call to a source waits longer than its timeout, and Status does not wait.
func TestFilesThatHang(t *testing.T) {
	home := t.TempDir()
	hangs := filepath.Join(home, ".huaweicloud", "credentials")
	write(hangs, "[basic]\nak = a\nsk = s\n")
	hanging := filestest.Hang(t, hangs)
	m := machine("http://127.0.0.1:1", sdkProfile, hangs, podURI, "http://127.0.0.1:1", podFile, hangs)
	inFile := "static: {access_key: ak, secret_key_file: " + hangs + "}"
	for _, yaml := range []string{inFile, "profile: {}", "pod_identity: {}", oidc(hangs), passwordFile(hangs), "", inFile + quotas} {
		s := source(t, m, yaml)
		start := time.Now()
		if err := s.Check(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response from the file system") {
			t.Errorf("checked, %v", err)
		}
		if grant, err := s.Grant(within(t, 50*time.Millisecond), huaweicloud.Scope{}); grant != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("granted %v, %v", grant, err)
		}
		status := s.Status()
		if took := time.Since(start); fmt.Sprint(status.Files) != "["+hangs+"]" || took > 3*time.Second {
			t.Errorf("%+v after %s", status, took)
		}
	}
	chain := source(t, machine("", "HOME", home), "")
	if err := chain.Check(within(t, 100*time.Millisecond)); err != nil || chain.Status().From != "default chain: instance_metadata: http://169.254.169.254" {
		t.Errorf("the default profile hangs: %v, %s", err, chain.Status().From)
	}
	hanging.Release()
	wantKeys(t, "released", source(t, m, "profile: {}"), "a s ")
}

// TestHangingPasswordFileBlocksNothing: while the file of a rejected password is read again, the rest of the source is not locked.
func TestHangingPasswordFileBlocksNothing(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "password")
	write(hangs, "wrong")
	p := source(t, machine(serve(t, answers{tokens: refuses(http.StatusUnauthorized, "no")})), passwordFile(hangs))
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
		t.Fatal("other calls waited for the file")
	}
	hanging.Release()
	if err := <-granted; huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
		t.Errorf("got %v", err)
	}
}
