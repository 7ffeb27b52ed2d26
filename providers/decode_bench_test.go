package providers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/examples"
	"cloud_quota_exporter/providers/providerstest"
)

// plain are structs for exactly the documented examples. Anything else is lost.
var plain = map[string]func() any{
	"cts": func() any {
		return new(struct {
			Resources []struct {
				Type        string
				Used, Quota float64
			}
		})
	},
	"ces":      func() any { return new(plainQuotas[string, float64]) },
	"taurusdb": func() any { return new(plainQuotas[string, string]) },
	"dcs":      func() any { return new(plainQuotas[any, float64]) },
	"dbss": func() any {
		return new(struct {
			CPU, RAM   float64
			AuditQuota float64 `json:"audit_quota"`
		})
	},
}

// plainQuotas is the format of most services; DCS has objects for units, and TaurusDB text for usage.
type plainQuotas[Unit, Used any] struct {
	Quotas struct {
		Resources []struct {
			Type            string
			Unit            Unit
			Used            Used
			Quota, Min, Max float64
		}
	}
}

// BenchmarkDecode decodes the documented example of each of the five services, and the largest response that is fully read, relative to encoding/json
// into a plain struct. The two are measured alternately.
func BenchmarkDecode(b *testing.B) {
	for _, s := range providerstest.Five() {
		b.Run("body="+s.Name, func(b *testing.B) { compareDecoding(b, s, examples.Of(s.Name)) })
	}
	var resources []string
	for i := range 200 {
		resources = append(resources, fmt.Sprintf(`{"unit":"GB","min":1,"max":800,"quota":%d,"used":%d,"type":"resource_%03d"}`, 10*i+10, i, i))
	}
	largest := `{"quotas":{"resources":[` + strings.Join(resources, ",") + `]}}`
	b.Run("body=largest", func(b *testing.B) { compareDecoding(b, providerstest.Named("dcs")[0], []byte(largest)) })
}

// compareDecoding compares the medians, which are not affected by short interruptions.
func compareDecoding(b *testing.B, s providers.Service, body []byte) {
	b.Helper()
	const batch = 10
	var ours, theirs []time.Duration
	for b.Loop() {
		start := time.Now()
		for range batch {
			result, err := s.API.Decode(&huaweicloud.Answer{Body: body})
			if err != nil || len(result.Quotas) == 0 || result.Skipped.Count > 0 {
				b.Fatal(result, err)
			}
		}
		ours = append(ours, time.Since(start))
		start = time.Now()
		for range batch {
			if err := json.Unmarshal(body, plain[s.Name]()); err != nil {
				b.Fatal(err)
			}
		}
		theirs = append(theirs, time.Since(start))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	ourMedian, theirMedian := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(ourMedian.Nanoseconds())/batch, "ns/op")
	b.ReportMetric(float64(ourMedian)/float64(theirMedian), "time/plain")
}
