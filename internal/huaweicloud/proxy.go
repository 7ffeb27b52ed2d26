package huaweicloud

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// CheckProxy refuses an environment whose proxy can't be read: net/http would pass it over without a word, and requests would go past it.
func CheckProxy(getenv func(string) string) error {
	var all error
	for _, names := range [][]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}} {
		for _, name := range names {
			value := getenv(name)
			if value == "" {
				continue
			}
			if !isProxy(value) {
				all = errors.Join(all, fmt.Errorf("%s is no URL, and no request would go through the proxy (it is not shown, as a password may stand in it); "+
					"want http://user:password@host:port, with special characters percent-encoded", name))
			}
			break // the other spelling doesn't count
		}
	}
	return all
}

// isProxy tells whether a text is the URL of a proxy. As for net/http, http:// may be left out.
func isProxy(text string) bool {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != ""
}
