package huaweicloud_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

func keys(accessKey, secretKey, securityToken string) *huaweicloud.Keys {
	return &huaweicloud.Keys{
		AccessKey: secret.New(accessKey), SecretKey: secret.New(secretKey), SecurityToken: secret.New(securityToken),
	}
}

// TestSignVectors uses the vectors that Huawei publishes in its signing guide and with its SDKs for Go and Java.
func TestSignVectors(t *testing.T) {
	const (
		vpcs  = "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0"
		guide = "QTWAOYTTINDUT2QVKYUC"
	)
	for _, tc := range []struct {
		name, accessKey, secretKey string
		method, url, body, date    string
		signed                     []string
		signature                  string
	}{
		{
			name: "GET", accessKey: "AccessKey", secretKey: "SecretKey",
			method: http.MethodGet, url: "https://example.huaweicloud.com/path?limit=1", date: "20060102T150405Z",
			signed: []string{"x-sdk-date"}, signature: "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624",
		},
		{
			name: "POST", accessKey: "AccessKey", secretKey: "SecretKey",
			method: http.MethodPost, url: "https://example.huaweicloud.com/path?key=value", date: "20060102T150405Z",
			body: "{\"Name\":\"test\",\"Id\":1}\n", signed: []string{"x-sdk-date"},
			signature: "cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59",
		},
		{
			name: "blanks, computed by hand", accessKey: "AccessKey", secretKey: "SecretKey", // of GET\n/a%20b/\nk=x%20y\nx-sdk-date:...
			method: http.MethodGet, url: "https://example.huaweicloud.com/a%20b?k=x+y", date: "20060102T150405Z",
			signed: []string{"x-sdk-date"}, signature: "c7cf03d49565225e653945b4056f0a930e925c9ecf2b8a7cfd9f83455840d047",
		},
		{
			name: "guide", accessKey: guide, secretKey: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
			method: http.MethodGet, url: vpcs, date: "20191115T033655Z", signed: []string{"content-type", "host", "x-sdk-date"},
			signature: "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
		},
		{
			name: "guide, fewer headers", accessKey: guide, secretKey: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
			method: http.MethodGet, url: vpcs, date: "20191115T033655Z", signed: []string{"x-sdk-date", "host"},
			signature: "faafba090046ef84c81ca330e77576d8746733ddfcf0317aaeb59cff50da39a7",
		},
		{
			name: "guide, another key", accessKey: guide, secretKey: "testSK",
			method: http.MethodGet, url: vpcs, date: "20191115T033655Z", signed: []string{"content-type", "host", "x-sdk-date"},
			signature: "1ce02ffed91dfc294aed8863aaf0fec29ccbf2f45ddcca7f120baabddba29782",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := httptest.NewRequest(tc.method, tc.url, strings.NewReader(tc.body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Sdk-Date", tc.date)
			keys(tc.accessKey, tc.secretKey, "").Sign(req, []byte(tc.body), tc.signed...)
			want := fmt.Sprintf("SDK-HMAC-SHA256 Access=%s, SignedHeaders=%s, Signature=%s",
				tc.accessKey, strings.Join(tc.signed, ";"), tc.signature)
			if got := req.Header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// sign returns the Authorization of a GET of a URL.
func sign(url string) string {
	req := httptest.NewRequest(http.MethodGet, "https://example.huaweicloud.com"+url, http.NoBody)
	req.Header.Set("X-Sdk-Date", "20060102T150405Z")
	keys("AccessKey", "SecretKey", "").Sign(req, nil, "x-sdk-date")
	return req.Header.Get("Authorization")
}

// TestSignAwkwardURLs: equivalent spellings of a path and a query, as defined by the gateway, have one signature, others do not.
func TestSignAwkwardURLs(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"/path", "/path/", true},
		{"", "/", true},
		{"/a%20b", "/a%20b/", true},
		{"/%7Euser", "/~user", true},
		{"/a+b", "/a%2Bb", true},
		{"/a+b", "/a%20b", false},
		{"/a%2Fb", "/a/b", false},
		{"/%e4%bd%a0", "/%E4%BD%A0", true},
		{"/a:b@c$d&e=f", "/a%3Ab%40c%24d%26e%3Df", true},
		{"/p?b=2&a=1", "/p?a=1&b=2", true},
		{"/p?a=2&a=1", "/p?a=1&a=2", true},
		{"/p?a=x+y", "/p?a=x%20y", true},
		{"/p?a", "/p?a=", true},
		{"/p?a=%2f", "/p?a=/", true},
		{"/p?a=1", "/p?a=2", false},
		{"/p?a=*", "/p?a=%2A", true},
		{"/p", "/P", false},
	} {
		if same := sign(tc.a) == sign(tc.b); same != tc.same {
			t.Errorf("signatures of %s and %s: same = %t, want %t", tc.a, tc.b, same, tc.same)
		}
	}
}

// TestHide: the access key can be a part of the secret key, no part of which may be shown.
func TestHide(t *testing.T) {
	if got := keys("key", "key-of-secret", "").Hide("a key-of-secret and a key"); got != "a <hidden> and a <hidden>" {
		t.Errorf("got %s", got)
	}
	req := httptest.NewRequest(http.MethodGet, "https://cts.ap-southeast-3.myhuaweicloud.com/v3/p/quotas", http.NoBody)
	k := keys("AK", "SK", "")
	k.Authorize(req, nil)
	if got := k.Hide(req.Header.Get("Authorization")); got != "SDK-HMAC-SHA256 Access=<hidden>, SignedHeaders=host;x-sdk-date, Signature=<hidden>" {
		t.Errorf("got %s", got)
	}
}
