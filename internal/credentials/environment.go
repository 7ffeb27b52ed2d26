package credentials

import (
	"context"
	"fmt"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// variables are the names of variables with keys.
type variables struct{ accessKey, secretKey, securityToken string }

// known are those of Huawei's SDKs, of its Terraform provider, and of OpenStack's tools, in the order in which they are tried.
var known = [...]variables{
	{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"},
	{"HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"},
	{"OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_SECURITY_TOKEN"},
}

var errNoVariables = newAbsent(
	"environment: no keys are set",
	"set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK (or HW_ACCESS_KEY and HW_SECRET_KEY, or OS_ACCESS_KEY and OS_SECRET_KEY), "+
		"or state credentials in the configuration",
)

// Environment uses the keys in the variables of the environment.
func Environment(getenv func(string) string) Source {
	from := "environment"
	if v, err := findVariables(getenv); err == nil {
		from += ": " + v.accessKey + ", " + v.secretKey
	}
	return &permanent{status: Status{From: from}, read: func(context.Context) (*huaweicloud.Keys, error) {
		v, err := findVariables(getenv)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{v.accessKey, v.secretKey, v.securityToken} {
			if err := checkKey("environment: "+name, getenv(name)); err != nil {
				return nil, err
			}
		}
		return &huaweicloud.Keys{
			AccessKey:     secret.New(getenv(v.accessKey)),
			SecretKey:     secret.New(getenv(v.secretKey)),
			SecurityToken: secret.New(getenv(v.securityToken)),
		}, nil
	}}
}

// findVariables returns the first names of which one is set; the other must be set too.
func findVariables(getenv func(string) string) (variables, error) {
	for _, v := range known {
		hasAccessKey, hasSecretKey := getenv(v.accessKey) != "", getenv(v.secretKey) != ""
		switch {
		case hasAccessKey && hasSecretKey:
			return v, nil
		case hasAccessKey:
			return v, fmt.Errorf("environment: %s is set, but %s is not", v.accessKey, v.secretKey)
		case hasSecretKey:
			return v, fmt.Errorf("environment: %s is set, but %s is not", v.secretKey, v.accessKey)
		}
	}
	return variables{}, errNoVariables
}
