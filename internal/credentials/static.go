package credentials

import (
	"context"
	"errors"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Static takes the keys from the configuration, or from the files that it names. securityToken goes with temporary keys.
func Static(accessKey, secretKey, securityToken Value) Source {
	describe := func() string {
		parts := []string{accessKey.describe("access_key"), secretKey.describe("secret_key")}
		if securityToken != (Value{}) {
			parts = append(parts, securityToken.describe("security_token"))
		}
		return "static: " + strings.Join(parts, ", ")
	}
	keys := func(ctx context.Context) (*huaweicloud.Keys, error) {
		ak, errAK := accessKey.get(ctx, "access_key")
		sk, errSK := secretKey.get(ctx, "secret_key")
		token, errToken := securityToken.get(ctx, "security_token")
		if err := errors.Join(errAK, errSK, errToken); err != nil {
			return nil, err
		}
		return &huaweicloud.Keys{AccessKey: ak, SecretKey: sk, SecurityToken: token}, nil
	}
	return &permanent{keys: keys, describe: describe, files: func() []string { return fileNames(accessKey, secretKey, securityToken) }}
}
