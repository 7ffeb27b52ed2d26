package huaweicloud_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

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
