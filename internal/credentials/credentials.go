// Package credentials knows where the keys of an account come from, one file a source. Each source is a huaweicloud.Authorizer.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// source makes an Authorizer of a function that tells the permanent keys of an account. It is called for each request, so that keys
// rotate without a restart; what it looks at is a variable or a small file.
type source func() (*huaweicloud.Keys, error)

// Grant returns the keys that are in force now.
func (s source) Grant(context.Context, string) (huaweicloud.Grant, error) {
	keys, err := s()
	if err != nil {
		return nil, err // a nil *Keys would be a Grant that is not nil
	}
	return keys, nil
}

// Reject does nothing: the next Grant looks again in any case.
func (s source) Reject(huaweicloud.Grant) {}

// Value is a part of the keys: stated, or in a file that is read whenever it is needed. The zero Value is not stated.
type Value struct {
	Text secret.Text
	File string
}

// get returns the value; name says what it is in an error.
func (v Value) get(name string) (secret.Text, error) {
	if v.File == "" {
		return v.Text, nil
	}
	contents, err := os.ReadFile(v.File)
	if err != nil {
		return secret.Text{}, fmt.Errorf("%s: %w; the file must be readable for the exporter", name, err)
	}
	value := strings.TrimSpace(string(contents))
	if value == "" {
		return secret.Text{}, fmt.Errorf("%s: %s is empty; write the key into it, and nothing else", name, v.File)
	}
	return secret.New(value), nil
}

// Static takes the keys from the configuration, or from the files that it names. securityToken goes with temporary keys.
func Static(accessKey, secretKey, securityToken Value) huaweicloud.Authorizer {
	return source(func() (*huaweicloud.Keys, error) {
		ak, errAK := accessKey.get("access_key_file")
		sk, errSK := secretKey.get("secret_key_file")
		token, errToken := securityToken.get("security_token_file")
		if err := errors.Join(errAK, errSK, errToken); err != nil {
			return nil, err
		}
		return &huaweicloud.Keys{AccessKey: ak, SecretKey: sk, SecurityToken: token}, nil
	})
}
