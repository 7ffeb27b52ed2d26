package huaweicloud_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

// TestUnknownProxyIsNoUnknownHost: where the proxy can't be found, nothing is known of the region.
func TestUnknownProxyIsNoUnknownHost(t *testing.T) {
	unknown := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "dcs.example.com", IsNotFound: true}}
	throughProxy := &net.OpError{Op: "proxyconnect", Net: "tcp", Err: unknown}
	for err, want := range map[error]bool{unknown: true, throughProxy: false} {
		told := &huaweicloud.TransportError{Request: "GET https://dcs.example.com/", Service: "dcs", Err: err}
		if got := huaweicloud.IsNotOffered(told); got != want {
			t.Errorf("%v: not offered is %t", err, got)
		}
		if got := strings.Contains(told.Error(), "the region may not offer the service"); got != want {
			t.Errorf("it says: %v", told)
		}
	}
}

// TestReasonWithoutARequest: errors that come from no answer, and those of a connection alone.
func TestReasonWithoutARequest(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("the id of the project: %w", huaweicloud.ErrPaused), "throttled"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout"},
	} {
		if got := huaweicloud.Reason(tc.err); got != tc.want {
			t.Errorf("%v: reason %s, want %s", tc.err, got, tc.want)
		}
	}
}
