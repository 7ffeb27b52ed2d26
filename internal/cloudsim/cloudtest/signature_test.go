package cloudtest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/cloudsim/simtest"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// verify returns why the gateway rejects a request to an account with these keys.
func verify(r *http.Request, body string, k simtest.Keys) string {
	c := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: k.Access, SecretKey: k.Secret, SecurityToken: k.SecurityToken})
	account, refusal := c.Authenticate(cloudsim.Call{Request: r, Body: []byte(body)})
	if refusal == nil && account == "main" {
		return ""
	}
	var got struct {
		Code    string `json:"error_code"`
		Message string `json:"error_msg"`
	}
	const incorrect = "Incorrect IAM authentication information: "
	if refusal == nil || json.Unmarshal(refusal.Body, &got) != nil || got.Code != "APIGW.0301" || !strings.HasPrefix(got.Message, incorrect) {
		return fmt.Sprintf("account %q and %+v", account, refusal)
	}
	return strings.TrimPrefix(got.Message, incorrect)
}

func TestCanonicalForms(t *testing.T) {
	// Computed by hand: escaped, sorted, and trimmed parts.
	synctest.Test(t, func(t *testing.T) {
		// The HMAC of the canonical request
		// GET\n/a%20b/c%2Fd~/\na=x%20y&b=1&b=2&c=\nx-extra:v\nx-sdk-date:20000101T000000Z\n\nx-extra;x-sdk-date\nUNSIGNED-PAYLOAD
		r := simtest.NewRequest(t, http.MethodGet, "http://h/a%20b/c%2Fd~?b=2&b=1&a=x+y&c", "", "X-Extra", "  v  ", "X-Sdk-Date", "20000101T000000Z",
			"X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD", "Authorization", "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-extra;x-sdk-date, "+
				"Signature=8d45e2f02a462ba588ac08dd2d4878f331d2f43f81f712936919c69df624e83d")
		if refusal := verify(r, "any body", mainKeys); refusal != "" {
			t.Errorf("refused: %s", refusal)
		}
	})
}

// TestRejectedSignatures: FuzzSignature changes the signed parts of a request; this test changes the others.
func TestRejectedSignatures(t *testing.T) {
	edit := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const fail, malformed, tokenWrong = "verify aksk signature fail", "the Authorization header is malformed", "the security token of ak MAINAK is missing or wrong"
	const dateWrong = "the X-Sdk-Date header is missing, malformed or not signed"
	secured := simtest.Keys{Access: "MAINAK", Secret: "main-secret", SecurityToken: "token"}
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			signed, expected simtest.Keys
			change           func(*http.Request)
			want             string
		}{
			"nothing":              {mainKeys, mainKeys, func(*http.Request) {}, ""},
			"header removed":       {mainKeys, mainKeys, func(r *http.Request) { r.Header.Del("X-Project-Id") }, fail},
			"signature":            {mainKeys, mainKeys, edit("Signature=", "Signature=0"), fail},
			"list of headers":      {mainKeys, mainKeys, edit("x-project-id;", ""), fail},
			"unsigned payload":     {mainKeys, mainKeys, set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"), fail},
			"secret key":           {mainKeys, simtest.Keys{Access: "MAINAK", Secret: "x"}, func(*http.Request) {}, fail},
			"access key":           {mainKeys, simtest.Keys{Access: "OTHERAK", Secret: "main-secret"}, func(*http.Request) {}, "ak MAINAK not exist"},
			"none":                 {mainKeys, mainKeys, set("Authorization", ""), "x-auth-token not found"},
			"token":                {mainKeys, mainKeys, set("Authorization", "Bearer abc"), malformed},
			"other algorithm":      {mainKeys, mainKeys, edit("SHA256", "SM3"), malformed},
			"no signature":         {mainKeys, mainKeys, edit(", Signature", ", Other"), malformed},
			"empty signature":      {mainKeys, mainKeys, set("Authorization", "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-sdk-date, Signature="), malformed},
			"two parts":            {mainKeys, mainKeys, set("Authorization", "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-sdk-date"), malformed},
			"a part twice":         {mainKeys, mainKeys, edit("Access=MAINAK", "Access=MAINAK, Access=MAINAK"), malformed},
			"two headers":          {mainKeys, mainKeys, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, malformed},
			"upper case":           {mainKeys, mainKeys, edit("x-sdk-date", "X-Sdk-Date"), malformed},
			"not sorted":           {mainKeys, mainKeys, edit("x-project-id;x-sdk-date", "x-sdk-date;x-project-id"), malformed},
			"date not signed":      {mainKeys, mainKeys, edit(";x-sdk-date", ""), dateWrong},
			"malformed date":       {mainKeys, mainKeys, set("X-Sdk-Date", "today"), dateWrong},
			"signature and token":  {mainKeys, mainKeys, set("X-Auth-Token", "x"), "the request has a signature and an x-auth-token, of which only one is allowed"},
			"token alone":          {mainKeys, mainKeys, func(r *http.Request) { r.Header = http.Header{"X-Auth-Token": {"x"}} }, "the x-auth-token is unknown"},
			"security token":       {secured, secured, func(*http.Request) {}, ""},
			"no security token":    {mainKeys, secured, func(*http.Request) {}, tokenWrong},
			"old security token":   {simtest.Keys{Access: "MAINAK", Secret: "main-secret", SecurityToken: "old"}, secured, func(*http.Request) {}, tokenWrong},
			"token is not signed":  {mainKeys, secured, set("X-Security-Token", "token"), "the security token of ak MAINAK is not signed"},
			"needless token":       {secured, mainKeys, func(*http.Request) {}, ""},
			"15 minutes slow":      {mainKeys, mainKeys, resign(-15 * time.Minute), ""},
			"15 minutes fast":      {mainKeys, mainKeys, resign(15 * time.Minute), ""},
			"more than 15 minutes": {mainKeys, mainKeys, resign(-15*time.Minute - time.Second), "signature expired, signature time:19991231T234459Z,server time:20000101T000000Z"},
			"more than fast":       {mainKeys, mainKeys, resign(15*time.Minute + time.Second), "signature expired, signature time:20000101T001501Z,server time:20000101T000000Z"},
		} {
			r := test.signed.Sign(simtest.NewRequest(t, http.MethodGet, "h/v2/p/quota?a=1", "", "X-Project-Id", idA), "body")
			test.change(r)
			if got := verify(r, "body", test.expected); got != test.want {
				t.Errorf("%s: rejection %q, want %q", name, got, test.want)
			}
		}
	})
}

// resign signs a request with a wrong clock.
func resign(skew time.Duration) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-Sdk-Date", time.Now().Add(skew).Format("20060102T150405Z"))
		mainKeys.Sign(r, "body", "x-sdk-date")
	}
}

// FuzzSignature: this cloud shares no code with the client, whose tests contain the signatures that Huawei published. Both agree on the canonical
// form of every request that can be sent, and the cloud rejects requests that were changed on the way.
func FuzzSignature(f *testing.F) {
	for _, path := range []string{
		"/v3/0250cb8a80c24c0b9f20f557cb159aad/quotas", "/v3/p/project-quotas?type=instance", "/v2/p/audit/instances?offset=0&limit=1000",
		"", "/", "//", "/a//b/", "/a%20b/%2F/%7E~", "/a+b?x+y=%20&x=&x", "/%e4%bd%a0?%E4=ä&a=2&a=1&=", "/p?a=%2f&b=;", "/*'()!@:$,?*'()!=@:$,", "/p??a=b", "/.././a",
	} {
		f.Add(path, "", "0250cb8a80c24c0b9f20f557cb159aad", "")
		f.Add(path, `{"auth":{}}`, " spaces ", "token")
	}
	f.Fuzz(func(t *testing.T, path, body, project, token string) {
		client, expected := &huaweicloud.Keys{AccessKey: secret.New("MAINAK"), SecretKey: secret.New("main-secret")}, mainKeys
		if token != "" {
			client.SecurityToken, expected.SecurityToken = secret.New("token"), "token"
		}
		sent, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://cts.ap-southeast-3.myhuaweicloud.com"+path, strings.NewReader(body))
		isControl := func(r rune) bool { return r < ' ' || r == '\x7f' }
		if strings.ContainsFunc(project, isControl) {
			return // not a possible header: net/http would not send it
		}
		if err != nil || sent.URL.Fragment != "" || sent.URL.User != nil || sent.URL.Host != "cts.ap-southeast-3.myhuaweicloud.com" {
			return
		}
		if project != "" {
			sent.Header.Set("X-Project-Id", project)
		}
		client.Authorize(sent, []byte(body))
		var wire bytes.Buffer
		if err := sent.Write(&wire); err != nil {
			return // net/http does not send it
		}
		arrived, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			return // nor would it be received
		}
		got, err := io.ReadAll(arrived.Body)
		if err != nil {
			t.Fatal(err)
		}
		if refusal := verify(arrived, string(got), expected); refusal != "" {
			t.Fatalf("%q is rejected: %s", arrived.URL, refusal)
		}
		wantTampered(t, expected, arrived, string(got))
	})
}

// wantTampered asserts that a request is rejected if any signed part differs.
func wantTampered(t *testing.T, expected simtest.Keys, r *http.Request, body string) {
	t.Helper()
	refused := func(what string, r *http.Request, body string) {
		t.Helper()
		if verify(r, body, expected) == "" {
			t.Errorf("%q with another %s is let in", r.URL, what)
		}
	}
	refused("body", r, body+"x")
	for what, change := range map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = http.MethodGet },
		"host":   func(r *http.Request) { r.Host = "cts.eu-de.myhuaweicloud.com" },
		"path":   func(r *http.Request) { r.URL = &url.URL{Path: "/x" + r.URL.Path, RawQuery: r.URL.RawQuery} },
		"query": func(r *http.Request) {
			r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: "x=x&" + r.URL.RawQuery}
		},
		"date": func(r *http.Request) { r.Header.Set("X-Sdk-Date", "20000101T000000Z") },
	} {
		changed := r.Clone(t.Context())
		change(changed)
		refused(what, changed, body)
	}
	for _, name := range []string{"X-Project-Id", "X-Security-Token"} {
		if r.Header.Get(name) != "" {
			changed := r.Clone(t.Context())
			changed.Header.Set(name, "x"+r.Header.Get(name))
			refused(name, changed, body)
		}
	}
}
