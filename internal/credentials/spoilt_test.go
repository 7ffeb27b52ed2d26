package credentials_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// TestSpoiltKeys: white space and byte order marks around a key, token, or password are ignored, from any source. One in quotes or with an invisible
// character is rejected before anything is sent.
func TestSpoiltKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.Header.Get("Authorization")+string(body))
	}))
	defer server.Close()
	inFile := func(yaml string) func(string) credentials.Source {
		return func(key string) credentials.Source {
			write(file, key)
			return source(t, machine(server.URL, podURI, server.URL, podFile, file), yaml)
		}
	}
	inVariable := func(names ...string) func(string) credentials.Source {
		return func(key string) credentials.Source {
			env := []string{"HW_ACCESS_KEY", "ak", "HW_SECRET_KEY", "sk"}
			for _, name := range names { // the last value of which counts
				env = append([]string{name, key}, env...)
			}
			return source(t, machine(server.URL, env...), "environment: {}")
		}
	}
	inText := func(before, after string) func(string) credentials.Source {
		return func(key string) credentials.Source {
			return source(t, machine(server.URL), before+strconv.QuoteToASCII(key)+after)
		}
	}
	for _, place := range []struct {
		name string // in errors
		with func(key string) credentials.Source
		sent bool // proof of identity in requests for keys
	}{
		{"secret_key", inText("static: {access_key: ak, secret_key: ", "}"), false},
		{"secret_key_file " + file, inFile("static: {access_key: ak, secret_key_file: " + file + "}"), false},
		{"environment: HW_ACCESS_KEY", inVariable("HW_ACCESS_KEY"), false},
		{"environment: HW_SECRET_KEY", inVariable("HW_SECRET_KEY"), false},
		{"environment: HW_SECURITY_TOKEN", inVariable("HW_SECURITY_TOKEN"), false},
		{"password", inText("password: {domain_name: main, user_name: reader, password: ", "}"), true},
		{"password_file " + file, inFile(passwordFile(file)), true},
		{"oidc: token_file " + file, inFile(oidc(file)), true},
		{podFile + " " + file, inFile("pod_identity: {}"), true},
	} {
		for _, key := range []string{`"PRIVATE"`, ` 'PRIVATE'` + "\n", "\ufeff“PRIVATE”"} {
			wantKeys(t, key, place.with(key), "", place.name+" has quotes around it; remove the quotes")
		}
		for _, key := range []string{"PRI\u200bVATE", "\u00adPRIVATE", "PRIVATE\u2060\n", "PRI\x00VATE", "PRI\ufe0fVATE", "\xff\xfeP\x00"} {
			wantKeys(t, key, place.with(key), "", place.name+" contains an invisible character (U+", "); remove it, or type the text again")
		}
		if !strings.HasPrefix(place.name, "password") { // can start or end with one, or contain blanks
			wantKeys(t, "no-break space", place.with("PRI\u00a0VATE"), "", place.name+" contains an invisible character (U+00A0); remove it, or type the text again")
			for _, key := range []string{`"PRIVATE`, "PRIVATE'", `\"PRIVATE\"`} {
				wantKeys(t, key, place.with(key), "", place.name+" starts or ends with quotes; remove the quotes")
			}
		}
		if strings.HasPrefix(place.name, "environment") {
			wantKeys(t, "blank", inVariable("HW_ACCESS_KEY", "HW_SECRET_KEY")(" \n"), "", "no keys set")
		} else {
			wantKeys(t, "blank", place.with(" \ufeff\n"), "", place.name+" is empty")
		}
		if len(sent) > 0 {
			t.Fatalf("%s: sent %q", place.name, sent)
		}
		s := place.with("\ufeff \u00a0PRIVATE\u2003\r\n\ufeff\n")
		if !place.sent {
			if got, err := reveal(t, s); err != nil || !strings.Contains(" "+got+" ", " PRIVATE ") {
				t.Errorf("%s: got %q, %v", place.name, got, err)
			}
			continue
		}
		if _, err := s.Grant(t.Context(), huaweicloud.Scope{}); err == nil || len(sent) != 1 || sent[0] != "PRIVATE{}" && !strings.Contains(sent[0], `"PRIVATE"`) {
			t.Errorf("%s: sent %q, %v", place.name, sent, err)
		}
		sent = nil
	}
}

// TestKeyThatIsSpoiltLater: a file with a spoilt key is not being replaced, so the previous key is not used. One that starts with a quote might be
// half-written.
func TestKeyThatIsSpoiltLater(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	s := source(t, machine(""), "static: {access_key: AK, secret_key_file: "+file+"}")
	for _, step := range []struct {
		contents, want string
		says           []string
	}{
		{"SK", "AK SK ", nil},
		{`"SK2"`, "", []string{"has quotes around it; remove the quotes"}},
		{"SK3", "AK SK3 ", nil},
		{"SK\u200b4", "", []string{"contains an invisible character (U+200B)"}},
		{"SK5", "AK SK5 ", nil},
		{`"SK6`, "AK SK5 ", nil},
	} {
		write(file, step.contents)
		wantKeys(t, step.contents, s, step.want, step.says...)
	}
}

// TestProfileValues: values of a profile are parsed as in Huawei's SDKs.
func TestProfileValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	for value, want := range map[string]string{
		`"PRIVATE"`: "PRIVATE", `'PRIVATE'`: "PRIVATE", "PRIVATE ; note": "PRIVATE", "PRIVATE\t# note; more": "PRIVATE", `"PRIVATE" # "note"`: "PRIVATE",
		"a;b": "a;b", "a#b": "a#b", `ab\`: `ab\`, `a"b`: `a"b`, "\u00a0PRIVATE\u3000": "PRIVATE",
		"PRIVATE\nsecurity_token = ; none": "PRIVATE", "PRIVATE\r\nsecurity_token =\t#none": "PRIVATE",
	} {
		for _, start := range []string{"", "\ufeff"} {
			write(file, start+"[basic]\r\nak = AK ; the id\r\nsk = "+value+"\r\n")
			wantKeys(t, value, source(t, machine(""), "profile: {file: "+file+"}"), "AK "+want+" ")
		}
	}
	for value, says := range map[string]string{
		`"'PRIVATE'"`: "sk has quotes around it", `"PRIVATE ; note"`: "sk starts or ends with quotes; remove the quotes", "; note": "sk is missing", "PRI\u200bVATE": "sk contains an invisible character (U+200B)", "PRIVATE PRIVATE": "sk has more than a key",
		"PRIVATE\nidp_id = idp\nid_token_file = /t": "it has an identity provider; set credentials: {oidc: ",
	} {
		write(file, "[basic]\nak = AK\nsk = "+value+"\n")
		wantKeys(t, value, source(t, machine(""), "profile: {file: "+file+"}"), "", "profile: "+file+", section [basic]: ", says)
	}
}
