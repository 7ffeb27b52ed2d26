package credentials

import (
	"fmt"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// variables are the names under which keys stand in the environment, in the order in which they are looked for: those of Huawei's
// SDKs, of its Terraform provider, and of OpenStack's tools.
func variables() []struct{ accessKey, secretKey, securityToken string } {
	return []struct{ accessKey, secretKey, securityToken string }{
		{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"},
		{"HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"},
		{"OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_SECURITY_TOKEN"},
	}
}

// Environment takes the keys from the variables of the environment.
func Environment(getenv func(string) string) huaweicloud.Authorizer {
	return source(func() (*huaweicloud.Keys, error) {
		for _, v := range variables() {
			ak, sk := getenv(v.accessKey), getenv(v.secretKey)
			switch {
			case ak == "" && sk == "":
				continue
			case ak == "":
				return nil, fmt.Errorf("environment: %s is set, but %s is not", v.secretKey, v.accessKey)
			case sk == "":
				return nil, fmt.Errorf("environment: %s is set, but %s is not", v.accessKey, v.secretKey)
			}
			return &huaweicloud.Keys{
				AccessKey: secret.New(ak), SecretKey: secret.New(sk), SecurityToken: secret.New(getenv(v.securityToken)),
			}, nil
		}
		first := variables()[0]
		return nil, fmt.Errorf("environment: no keys are set; set %s and %s (or HW_ACCESS_KEY and HW_SECRET_KEY, or OS_ACCESS_KEY and OS_SECRET_KEY)",
			first.accessKey, first.secretKey)
	})
}
