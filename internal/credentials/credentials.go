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

// Source is where the keys of an account come from.
type Source interface {
	huaweicloud.Authorizer
	// Describe says where the keys come from, and none of them.
	Describe() string
}

// source looks for keys whenever they are needed, so that they rotate without a restart; what it looks at is a variable or a small file.
type source struct {
	keys     func() (*huaweicloud.Keys, error)
	describe func() string
}

// Describe says where the keys come from.
func (s source) Describe() string { return s.describe() }

// Grant returns the keys that are in force now.
func (s source) Grant(context.Context, string) (huaweicloud.Grant, error) {
	keys, err := s.keys()
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

// describe says where the value comes from; name is the key of the configuration.
func (v Value) describe(name string) string {
	if v.File != "" {
		return name + "_file " + v.File
	}
	return name + " in the configuration"
}

// get returns the value; name says what it is in an error.
func (v Value) get(name string) (secret.Text, error) {
	if v.File == "" {
		return v.Text, checkKey(name, v.Text.Reveal())
	}
	name += "_file " + v.File
	contents, err := readFile(v.File)
	if err != nil {
		return secret.Text{}, fmt.Errorf("%s: %w; want a file that the exporter may read, with the key alone in it", name, err)
	}
	value := strings.TrimSpace(string(contents))
	if value == "" {
		return secret.Text{}, fmt.Errorf("%s is empty; write the key into it, and nothing else", name)
	}
	return secret.New(value), checkKey(name, value)
}

// maxKeyFile is more than any key or token has.
const maxKeyFile = 64 << 10

// readFile reads a regular file: anything else might keep the reader waiting for good.
func readFile(name string) ([]byte, error) {
	switch info, err := os.Stat(name); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("no regular file")
	case info.Size() > maxKeyFile:
		return nil, fmt.Errorf("larger than %d bytes", maxKeyFile)
	}
	return os.ReadFile(name) //nolint:gosec // the user names it
}

// checkKey refuses what no header can carry, such as a whole table of keys. The error quotes nothing.
func checkKey(name, key string) error {
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s holds more than a key: want one word of ASCII letters, digits and signs", name)
	}
	return nil
}

// Static takes the keys from the configuration, or from the files that it names. securityToken goes with temporary keys.
func Static(accessKey, secretKey, securityToken Value) Source {
	describe := func() string {
		parts := []string{accessKey.describe("access_key"), secretKey.describe("secret_key")}
		if securityToken != (Value{}) {
			parts = append(parts, securityToken.describe("security_token"))
		}
		return "static: " + strings.Join(parts, ", ")
	}
	keys := func() (*huaweicloud.Keys, error) {
		ak, errAK := accessKey.get("access_key")
		sk, errSK := secretKey.get("secret_key")
		token, errToken := securityToken.get("security_token")
		if err := errors.Join(errAK, errSK, errToken); err != nil {
			return nil, err
		}
		return &huaweicloud.Keys{AccessKey: ak, SecretKey: sk, SecurityToken: token}, nil
	}
	return source{keys, describe}
}
