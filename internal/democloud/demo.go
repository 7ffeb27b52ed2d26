package democloud

import (
	"net/http"
	"slices"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/providers"
)

// The keys of the account of Demo and Scale. They are only valid for a simulated cloud.
const (
	AccessKey = "DEMOACCESSKEY0000001"
	SecretKey = "for-demonstration-only"
)

// Services returns the services of Demo's cloud, without their cache_ttl, so that services.defaults applies.
func Services() []providers.Service {
	services := slices.DeleteFunc(slices.Clone(providers.All()), func(s providers.Service) bool {
		return !slices.ContainsFunc(demoTable(), func(r row) bool { return r.service == s.Name })
	})
	for i := range services {
		services[i].CacheTTL = 0
	}
	return services
}

// Demo returns a cloud for demonstration: the account "demo" with three projects in two regions, whose values change. demo.txt has
// them.
//
//   - ap-southeast-3, the production project, is close to its limits: DCS memory between 93 % and 99 % of 800 GB, vCPUs of ECS around 96.5 % of
//     1,600, alarm rules around 95 % of 1,000, TaurusDB instances climbing from 60 % to 90 % of 50 and falling back.
//   - ap-southeast-1 has low usage, and does not offer FunctionGraph. Its DBSS fails with 503 in the last minute of every three since Demo.
//   - ap-southeast-1_dev, a subproject of it, has unlimited TaurusDB instances (-1), and small, changing values otherwise.
//
// The system tracker is 1 of 1 in all of them, as in every real project.
func Demo() *cloudsim.Cloud {
	projects := []cloudsim.Project{
		{ID: "0250cb8a80c24c0b9f20f557cb159aad", Name: "ap-southeast-3", Region: "ap-southeast-3"},
		{ID: cloudsim.ID("ap-southeast-1"), Name: "ap-southeast-1", Region: "ap-southeast-1"},
		{ID: cloudsim.ID("ap-southeast-1_dev"), Name: "ap-southeast-1_dev", Region: "ap-southeast-1"},
	}
	type place struct{ service, region string }
	offered := map[place]bool{}
	for i := range projects {
		p := &projects[i]
		p.Quotas = map[string][]cloudsim.Quota{}
		for _, r := range demoTable() {
			if q := r.projects[i]; q != nil {
				p.Quotas[r.service] = append(p.Quotas[r.service], *q)
				offered[place{r.service, p.Region}] = true
			}
		}
		p.AuditInstances = int(p.Quotas["dbss"][0].Used) // audit_instance
	}
	apis := APIsOf(Services(), NoExample)
	for i, api := range apis {
		apis[i].Host = func(region string) string {
			if !offered[place{api.Service, region}] {
				return ""
			}
			return api.Host(region)
		}
	}
	started, failing := time.Now(), projects[1].ID
	c := cloudsim.New(apis, cloudsim.Account{Name: "demo", AccessKey: AccessKey, SecretKey: SecretKey, Projects: projects})
	c.Intercept = func(q cloudsim.Call, next func(cloudsim.Call) cloudsim.Answer) cloudsim.Answer {
		if q.Service == "dbss" && q.ProjectID == failing && time.Since(started)%(3*time.Minute) >= 2*time.Minute {
			return q.ServiceError(http.StatusServiceUnavailable, "The service is unavailable")
		}
		return next(q)
	}
	return c
}
