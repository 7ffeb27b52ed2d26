package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// Static uses the keys in the configuration, or in the files that it names. securityToken belongs to temporary keys.
func Static(accessKey, secretKey, securityToken Value) Source {
	parts := []string{accessKey.describe("access_key"), secretKey.describe("secret_key")}
	if securityToken != (Value{}) {
		parts = append(parts, securityToken.describe("security_token"))
	}
	return &permanent{
		status: Status{From: "static: " + strings.Join(parts, ", "), Files: fileNames(accessKey, secretKey, securityToken)},
		read: func(ctx context.Context) (*huaweicloud.Keys, error) {
			ak, errAK := accessKey.key(ctx, "access_key")
			sk, errSK := secretKey.key(ctx, "secret_key")
			token, errToken := securityToken.key(ctx, "security_token")
			if err := errors.Join(errAK, errSK, errToken); err != nil {
				return nil, err
			}
			return &huaweicloud.Keys{AccessKey: ak, SecretKey: sk, SecurityToken: token}, nil
		},
	}
}

// Value is a secret in the configuration, or in a file that is read whenever it is needed. The zero Value is not set.
type Value struct {
	Text secret.Text
	File string
}

// describe returns where the value comes from; name is its name in the configuration.
func (v Value) describe(name string) string {
	if v.File != "" {
		return name + "_file " + v.File
	}
	return name + " in the configuration"
}

func fileNames(values ...Value) []string {
	var names []string
	for _, v := range values {
		if v.File != "" {
			names = append(names, v.File)
		}
	}
	return slices.Clip(names) // a caller may append its own
}

// key returns the value as a part of keys.
func (v Value) key(ctx context.Context, name string) (secret.Text, error) {
	if v.File != "" {
		return readKey(ctx, name+"_file "+v.File, v.File)
	}
	return v.Text, checkKey(name, v.Text.Reveal())
}

// password returns the value as a password, which may contain blanks since no header contains it.
func (v Value) password(ctx context.Context) (secret.Text, error) {
	if v.File == "" {
		return v.Text, nil
	}
	text, err := readSecret(ctx, "password_file "+v.File, v.File, "password")
	return secret.New(text), err
}

// readKey reads a file with a key or token; name is what an error calls it.
func readKey(ctx context.Context, name, file string) (secret.Text, error) {
	text, err := readSecret(ctx, name, file, "key")
	if err != nil {
		return secret.Text{}, err
	}
	text = strings.TrimSpace(text)
	return secret.New(text), checkKey(name, text)
}

// readSecret reads a file with one secret, and returns it without the end of the line.
func readSecret(ctx context.Context, name, file, kind string) (string, error) {
	contents, err := files.Read(ctx, file, maxKeyFile)
	if err != nil {
		return "", huaweicloud.Advise(fmt.Errorf("%s: %w", name, err), "want a file that the exporter may read, with the "+kind+" alone in it")
	}
	if strings.TrimSpace(string(contents)) == "" {
		return "", huaweicloud.Advise(fmt.Errorf("%s is empty", name), "write the "+kind+" into it, and nothing else")
	}
	return strings.TrimRight(string(contents), "\r\n"), nil
}

// maxKeyFile is more than any key or token has.
const maxKeyFile = 64 << 10

// checkKey returns an error if no header can carry the key. It quotes nothing.
func checkKey(name, key string) error {
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s holds more than a key: want one word of ASCII letters, digits and signs", name)
	}
	return nil
}
