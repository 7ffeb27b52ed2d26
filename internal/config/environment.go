package config

import (
	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// environmentAccount is the account that is served where no file states one: the default chain of credentials, and one project whose
// region and project_id stand in the variables that Huawei's own tools read.
func environmentAccount(getenv func(string) string, found *strictyaml.Problems) Account {
	variable := func(names ...string) (name, value string) {
		for _, name := range names {
			if value := getenv(name); value != "" {
				return name, value
			}
		}
		return names[0], ""
	}
	name, region := variable("HW_REGION_NAME", "HUAWEICLOUD_SDK_REGION", "OS_REGION_NAME")
	switch {
	case region == "":
		found.Add(0, name, "missing: where no file states accounts, the region comes from HW_REGION_NAME, HUAWEICLOUD_SDK_REGION or "+
			"OS_REGION_NAME; set one of them, or name a file with accounts by --config.file")
	case !providers.IsRegion(region):
		found.Add(0, name, "not of the right form; want "+regionWant)
	}
	name, id := variable("HUAWEICLOUD_SDK_PROJECT_ID")
	if id != "" && !projectID.MatchString(id) {
		found.Add(0, name, "not of the right form; want "+projectIDWant)
	}
	return Account{Name: "default", Projects: []Project{{ID: id, Region: region, Name: region}}}
}
