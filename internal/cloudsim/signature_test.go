package cloudsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/simtest"
)

// vector is a signature that Huawei published, in an SDK's tests or in the signing guide.
type vector struct {
	name, method, url, body, date, access, secret string
	contentType                                   string
	signed, signature                             string
}

const (
	guideURL = "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs" +
		"?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0"
	guideAK, guideSK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
)

var vectors = []vector{
	{
		"SDK GET", "GET", "https://example.huaweicloud.com/path?limit=1", "", "20060102T150405Z", "AccessKey", "SecretKey", "",
		"x-sdk-date", "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
	},
	{
		"SDK POST", "POST", "https://example.huaweicloud.com/path?key=value", "{\"Name\":\"test\",\"Id\":1}\n", "20060102T150405Z",
		"AccessKey", "SecretKey", "", "x-sdk-date", "cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59",
	},
	{
		"guide", "GET", guideURL, "", "20191115T033655Z", guideAK, guideSK, "application/json",
		"content-type;host;x-sdk-date", "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
	},
	{
		"guide without content-type", "GET", guideURL, "", "20191115T033655Z", guideAK, guideSK, "",
		"host;x-sdk-date", "faafba090046ef84c81ca330e77576d8746733ddfcf0317aaeb59cff50da39a7",
	},
	{
		"Java SDK", "GET", guideURL, "", "20191115T033655Z", guideAK, "testSK", "application/json",
		"content-type;host;x-sdk-date", "1ce02ffed91dfc294aed8863aaf0fec29ccbf2f45ddcca7f120baabddba29782",
	},
}

func (v vector) request(t *testing.T) *http.Request {
	t.Helper()
	r := simtest.NewRequest(t, v.method, v.url, v.body, "X-Sdk-Date", v.date,
		"Authorization", "SDK-HMAC-SHA256 Access="+v.access+", SignedHeaders="+v.signed+", Signature="+v.signature)
	if v.contentType != "" {
		r.Header.Set("Content-Type", v.contentType)
	}
	return r
}

// verify returns why the gateway refuses a request to an account with these keys.
func verify(r *http.Request, body string, k simtest.Keys) string {
	account, refused := cloudsim.Verify(cloudsim.Call{Request: r, Body: []byte(body)}, func(access string) (cloudsim.Keys, bool) {
		return cloudsim.Keys{Account: "main", SecretKey: k.Secret, SecurityToken: k.SecurityToken}, access == k.Access
	})
	switch {
	case refused == nil && account == "main":
		return ""
	case refused != nil && account == "" && refused.Code == "APIGW.0301":
		return strings.TrimPrefix(refused.Message, "Incorrect IAM authentication information: ")
	}
	return fmt.Sprintf("account %q and %+v", account, refused)
}

func TestPublicVectors(t *testing.T) {
	for _, v := range vectors {
		synctest.Test(t, func(t *testing.T) {
			signed, err := time.Parse("20060102T150405Z", v.date)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Until(signed)) // a bubble begins in the year 2000
			k := simtest.Keys{Access: v.access, Secret: v.secret}
			if refusal := verify(v.request(t), v.body, k); refusal != "" {
				t.Errorf("%s: refused: %s", v.name, refusal)
			}
			if refusal := verify(v.request(t), v.body+" ", k); refusal != "verify aksk signature fail" {
				t.Errorf("%s: another body: refusal %q", v.name, refusal)
			}
		})
	}
}

func TestCanonicalForms(t *testing.T) {
	// Computed by hand: what is escaped, sorted and trimmed.
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

// TestRefusedSignatures: FuzzSignature changes the parts of a request that are signed; these are the others.
func TestRefusedSignatures(t *testing.T) {
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
				t.Errorf("%s: refusal %q, want %q", name, got, test.want)
			}
		}
	})
}

// resign signs a request by a clock that is wrong.
func resign(skew time.Duration) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-Sdk-Date", time.Now().Add(skew).Format("20060102T150405Z"))
		mainKeys.Sign(r, "body", "x-sdk-date")
	}
}

// TestSignedRequests: the gateway verifies what it received with the permanent keys of the account, as they are now.
func TestSignedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		client := simtest.Serve(t, c)
		const place = "dcs.ap-southeast-3" + cloud + "/v2/" + idA + "/quota"
		client.Do(t, mainKeys.Sign(simtest.NewRequest(t, http.MethodGet, place, "body"), "body")).Want(t, "body", http.StatusOK, `"dcs"`)
		r := simtest.NewRequest(t, http.MethodGet, place, "body")
		client.Do(t, mainKeys.Sign(r, "BODY")).WantRefused(t, "another body", "verify aksk signature fail")
		c.Update("main", func(a *cloudsim.Account) { a.AccessKey, a.SecretKey, a.SecurityToken = "NEWAK", "new-secret", "token" })
		client.Get(t, mainKeys, place).WantRefused(t, "old keys", "ak MAINAK not exist")
		client.Get(t, simtest.Keys{Access: "NEWAK", Secret: "new-secret", SecurityToken: ""}, place).WantRefused(t, "no token", "the security token of ak NEWAK is missing or wrong")
		got := client.Get(t, simtest.Keys{Access: "NEWAK", Secret: "new-secret", SecurityToken: "token"}, place)
		got.Want(t, "new keys", http.StatusOK, `"dcs"`)
		if date := got.Header.Get("Date"); date != "Sat, 01 Jan 2000 00:00:00 GMT" {
			t.Errorf("Date %q, want the clock of the cloud", date)
		}
	})
}
