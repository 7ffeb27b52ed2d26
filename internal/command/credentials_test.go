package command_test

import (
	"strings"
	"testing"
	"time"
)

// waitFor waits until the log has a text.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	o.waitForTimes(t, text, 1)
}

// waitForTimes waits until the text was written so many times.
func (o *output) waitForTimes(t *testing.T, text string, times int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for strings.Count(o.String(), text) < times {
		select {
		case <-o.changed:
		case <-deadline:
			t.Fatalf("the log does not have %d times %s:\n%s", times, text, o)
		}
	}
}

// TestCredentialsAreTold is about the start, before anybody scrapes.
func TestCredentialsAreTold(t *testing.T) {
	cloud, endpoints := simulated(t)
	r := serve(t, "", configuration(t, endpoints, write(t, "sk", secretKey), ""))
	r.log.waitFor(t, `msg="credentials are there"`)
	contains(t, r.log.String(), `account=main from="static: access_key in the configuration, secret_key_file `)
	if n := len(cloud.Requests()); n != 0 {
		t.Errorf("%d requests for permanent keys", n)
	}
}

func TestMissingCredentialsAreTold(t *testing.T) {
	_, endpoints := simulated(t)
	r := serve(t, "", configuration(t, endpoints, "/nonexistent/sk", ""))
	r.log.waitFor(t, `msg="credentials can't be had"`)
	contains(t, r.log.String(), "level=warn", "account=main", "secret_key_file /nonexistent/sk: no such file or directory; want a file")
}
