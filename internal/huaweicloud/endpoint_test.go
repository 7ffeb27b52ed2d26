package huaweicloud_test

import (
	"testing"

	"cloud_quota_exporter/internal/huaweicloud"
)

func TestBaseURL(t *testing.T) {
	for _, tc := range []struct{ region, cloud, want string }{
		{"ap-southeast-3", "", "https://cts.ap-southeast-3.myhuaweicloud.com"},
		{"eu-west-101", "", "https://cts.eu-west-101.myhuaweicloud.eu"},
		{"eu-west-0", "", "https://cts.eu-west-0.myhuaweicloud.com"}, // a partner's: its cloud has to be stated
		{"eu-de", "", "https://cts.eu-de.myhuaweicloud.com"},
		{"eu-de", "otc.t-systems.com", "https://cts.eu-de.otc.t-systems.com"},
		{"eu-west-101", "example.com", "https://cts.eu-west-101.example.com"},
	} {
		if got := huaweicloud.BaseURL("cts", tc.region, tc.cloud); got != tc.want {
			t.Errorf("%s of %q: got %s, want %s", tc.region, tc.cloud, got, tc.want)
		}
	}
}
