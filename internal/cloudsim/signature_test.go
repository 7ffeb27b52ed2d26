package cloudsim_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
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
	r := newRequest(t, v.method, v.url, v.body)
	r.Header.Set("X-Sdk-Date", v.date)
	if v.contentType != "" {
		r.Header.Set("Content-Type", v.contentType)
	}
	r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access="+v.access+", SignedHeaders="+v.signed+", Signature="+v.signature)
	return r
}

// travel moves the clock of a bubble, which begins in the year 2000.
func travel(t *testing.T, date string) {
	t.Helper()
	to, err := time.Parse("20060102T150405Z", date)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(to))
}

func TestPublicVectorsAreAccepted(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				travel(t, v.date)
				c := newFive(cloudsim.Account{Name: "main", AccessKey: v.access, SecretKey: v.secret})
				if refusal := c.Authenticate(v.request(t), []byte(v.body)); refusal != "" {
					t.Errorf("refused: %s", refusal)
				}
				if refusal := c.Authenticate(v.request(t), []byte(v.body+" ")); refusal != "verify aksk signature fail" {
					t.Errorf("another body: refusal %q", refusal)
				}
			})
		})
	}
}

func TestCanonicalForms(t *testing.T) {
	// Worked out by hand: what is escaped, sorted and trimmed, and how.
	synctest.Test(t, func(t *testing.T) {
		c := newFive(cloudsim.Account{Name: "main", AccessKey: "MAINAK", SecretKey: "main-secret"})
		plain := newRequest(t, http.MethodGet, "http://h/a%20b/c%2Fd~?b=2&b=1&a=x+y&c", "")
		plain.Header.Set("X-Extra", "  v  ")
		plain.Header.Set("X-Sdk-Date", "20000101T000000Z")
		plain.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")
		// The HMAC of the canonical request
		// GET\n/a%20b/c%2Fd~/\na=x%20y&b=1&b=2&c=\nx-extra:v\nx-sdk-date:20000101T000000Z\n\nx-extra;x-sdk-date\nUNSIGNED-PAYLOAD
		plain.Header.Set("Authorization", "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-extra;x-sdk-date, "+
			"Signature=8d45e2f02a462ba588ac08dd2d4878f331d2f43f81f712936919c69df624e83d")
		if refusal := c.Authenticate(plain, []byte("any body")); refusal != "" {
			t.Errorf("refused: %s", refusal)
		}
	})
}

func TestTamperedRequestsAreRefused(t *testing.T) {
	client := dial(t, newCloud())
	host := "http://dcs.ap-southeast-3" + cloud
	tests := map[string]func(r *http.Request){
		"path":             func(r *http.Request) { r.URL.Path = "/v2/" + idB + "/quota"; r.Host = "127.0.0.1" },
		"query":            func(r *http.Request) { r.URL.RawQuery = "a=2" },
		"signed header":    func(r *http.Request) { r.Header.Set("X-Project-Id", idB) },
		"header taken":     func(r *http.Request) { r.Header.Del("X-Project-Id") },
		"date":             func(r *http.Request) { r.Header.Set("X-Sdk-Date", "20000101T000001Z") },
		"signature":        func(r *http.Request) { edit(r, "Signature=", "Signature=0") },
		"list of headers":  func(r *http.Request) { edit(r, "x-project-id;", "") },
		"key of another":   func(r *http.Request) { edit(r, "Access=MAINAK", "Access=OTHERAK") },
		"unsigned payload": func(r *http.Request) { r.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD") },
	}
	sign := func(k keys, body string) *http.Request {
		r := newRequest(t, http.MethodGet, host+"/v2/"+idA+"/quota?a=1", body)
		r.Header.Set("X-Project-Id", idA)
		return k.sign(r, body, time.Now())
	}
	if got := do(t, client, sign(mainKeys, "body")); got.status != http.StatusOK {
		t.Fatalf("untouched: status %d, body %s", got.status, got.body)
	}
	for name, tamper := range tests {
		r := sign(mainKeys, "")
		tamper(r)
		wantUnauthorized(t, name, do(t, client, r), "")
	}
	r := sign(mainKeys, "body")
	r.Body, r.GetBody = newRequest(t, http.MethodGet, host, "BODY").Body, nil
	wantUnauthorized(t, "body", do(t, client, r), "verify aksk signature fail")
	wantUnauthorized(t, "secret key", do(t, client, sign(keys{access: "MAINAK", secret: "wrong"}, "")), "verify aksk signature fail")
	wantUnauthorized(t, "access key", do(t, client, sign(keys{access: "NOBODY", secret: "x"}, "")), "ak NOBODY not exist")
}

func edit(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

func wantUnauthorized(t *testing.T, name string, got response, message string) {
	t.Helper()
	if got.status != http.StatusUnauthorized || !strings.Contains(got.body, `"error_code":"APIGW.0301"`) ||
		!strings.Contains(got.body, "Incorrect IAM authentication information: "+message) ||
		!strings.Contains(got.body, `"request_id":"`+got.header.Get("X-Request-Id")+`"`) {
		t.Errorf("%s: status %d, body %s, want 401 with %q", name, got.status, got.body, message)
	}
}

func TestMalformedAuthorization(t *testing.T) {
	client := dial(t, newCloud())
	for name, value := range map[string]string{
		"none":            "",
		"other algorithm": "SDK-HMAC-SM3 Access=MAINAK, SignedHeaders=x-sdk-date, Signature=0",
		"no signature":    "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-sdk-date",
		"upper case":      "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=X-Sdk-Date, Signature=0",
		"not sorted":      "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=x-sdk-date;host, Signature=0",
		"twice":           "SDK-HMAC-SHA256 Access=MAINAK, Access=MAINAK, SignedHeaders=x-sdk-date, Signature=0",
		"date not signed": "SDK-HMAC-SHA256 Access=MAINAK, SignedHeaders=host, Signature=0",
		"token":           "Bearer abc",
	} {
		r := newRequest(t, http.MethodGet, "http://localhost/v2/"+idA+"/quota", "")
		r.Header.Set("X-Sdk-Date", time.Now().UTC().Format("20060102T150405Z"))
		if value != "" {
			r.Header.Set("Authorization", value)
		}
		wantUnauthorized(t, name, do(t, client, r), "")
	}
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dial(t, newCloud())
		at := func(skew time.Duration) response {
			r := newRequest(t, http.MethodGet, "http://localhost/v2/"+idA+"/quota", "")
			return do(t, client, mainKeys.sign(r, "", time.Now().Add(skew)))
		}
		for _, skew := range []time.Duration{-15 * time.Minute, -14 * time.Minute, 14 * time.Minute, 15 * time.Minute} {
			if got := at(skew); got.status != http.StatusOK {
				t.Errorf("skew of %v: status %d", skew, got.status)
			}
		}
		wantUnauthorized(t, "slow", at(-16*time.Minute),
			"signature expired, signature time:19991231T234400Z,server time:20000101T000000Z")
		wantUnauthorized(t, "fast", at(16*time.Minute), "signature expired, signature time:20000101T001600Z")
		if got := at(time.Hour).header.Get("Date"); got != "Sat, 01 Jan 2000 00:00:00 GMT" {
			t.Errorf("Date %q, want the clock of the cloud", got)
		}
	})
}

func TestSecurityTokenAndRotation(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	path := "localhost/v3/" + idA + "/quotas"
	if got := mainKeys.get(t, client, path); got.status != http.StatusOK {
		t.Fatalf("status %d before the rotation", got.status)
	}
	c.SetKeys("main", "NEWAK", "new-secret", "token-1")
	wantUnauthorized(t, "old keys", mainKeys.get(t, client, path), "ak MAINAK not exist")
	renewed := keys{access: "NEWAK", secret: "new-secret"}
	wantUnauthorized(t, "no token", renewed.get(t, client, path), "the security token of ak NEWAK is missing")
	renewed.token = "token-0"
	wantUnauthorized(t, "old token", renewed.get(t, client, path), "the security token")
	renewed.token = "token-1"
	if got := renewed.get(t, client, path); got.status != http.StatusOK {
		t.Errorf("new keys: status %d, body %s", got.status, got.body)
	}
	wantPanic(t, "SetKeys of nobody", func() { c.SetKeys("nobody", "", "", "") })
}
