package huaweicloud_test

import (
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

func TestCheckProxy(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		says []string // the variables that it names, one a line
	}{
		{nil, nil},
		{map[string]string{"HTTPS_PROXY": "http://user:pa%25ss@127.0.0.1:1", "HTTP_PROXY": "socks5://host"}, nil},
		{map[string]string{"HTTPS_PROXY": "host:3128", "HTTP_PROXY": "10.0.0.1:3128"}, nil}, // no scheme is http
		{map[string]string{"HTTPS_PROXY": "user:password@host:3128", "HTTP_PROXY": ":3128"}, nil},
		{map[string]string{"HTTPS_PROXY": "http://user:pa%ss@127.0.0.1:1"}, []string{"HTTPS_PROXY"}},
		{map[string]string{"https_proxy": "user:pa%ss@host"}, []string{"https_proxy"}},
		{map[string]string{"HTTP_PROXY": " http://pa:ss@host:1"}, []string{"HTTP_PROXY"}},
		{map[string]string{"http_proxy": "http://"}, []string{"http_proxy"}},
		{map[string]string{"HTTPS_PROXY": "http://user:pa#ss@host", "http_proxy": "http://pa ss@host"}, []string{"HTTPS_PROXY", "http_proxy"}},
		{map[string]string{"HTTPS_PROXY": "http://host:1", "https_proxy": "pa%ss"}, nil}, // the first counts
		{map[string]string{"HTTPS_PROXY": "", "https_proxy": "pa%ss"}, []string{"https_proxy"}},
	} {
		err := huaweicloud.CheckProxy(func(name string) string { return tc.env[name] })
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(tc.says) {
			t.Fatalf("%v: got %v", tc.env, err)
		}
		for i, name := range tc.says {
			if !strings.HasPrefix(lines[i], name+" is no URL") || strings.Contains(lines[i], "pa%") || strings.Contains(lines[i], "pa ss") {
				t.Errorf("%v: got %s", tc.env, lines[i])
			}
		}
	}
}
