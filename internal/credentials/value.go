package credentials

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

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

// fileNames returns the names of the files in which values stand.
func fileNames(values ...Value) []string {
	var names []string
	for _, v := range values {
		if v.File != "" {
			names = append(names, v.File)
		}
	}
	return names
}

func noFiles() []string { return nil }

// get returns the value; name says what it is in an error.
func (v Value) get(ctx context.Context, name string) (secret.Text, error) {
	if v.File == "" {
		return v.Text, checkKey(name, v.Text.Reveal())
	}
	return readSecret(ctx, name+"_file "+v.File, v.File)
}

// password returns the value as it is, but for the end of the line in its file: it goes into no header, and may have blanks.
func (v Value) password(ctx context.Context) (secret.Text, error) {
	if v.File == "" {
		return v.Text, nil
	}
	contents, err := files.Read(ctx, v.File, maxKeyFile)
	if err != nil {
		return secret.Text{}, huaweicloud.Advise(fmt.Errorf("password_file %s: %w", v.File, err),
			"want a file that the exporter may read, with the password alone in it")
	}
	text := strings.TrimRight(string(contents), "\r\n")
	if text == "" {
		return secret.Text{}, huaweicloud.Advise(fmt.Errorf("password_file %s is empty", v.File), "write the password into it, and nothing else")
	}
	return secret.New(text), nil
}

// readSecret reads a file that holds a key or a token alone; name says what it is in an error.
func readSecret(ctx context.Context, name, file string) (secret.Text, error) {
	contents, err := files.Read(ctx, file, maxKeyFile)
	if err != nil {
		return secret.Text{}, huaweicloud.Advise(fmt.Errorf("%s: %w", name, err),
			"want a file that the exporter may read, with the key alone in it")
	}
	value := strings.TrimSpace(string(contents))
	if value == "" {
		return secret.Text{}, huaweicloud.Advise(fmt.Errorf("%s is empty", name), "write the key into it, and nothing else")
	}
	return secret.New(value), checkKey(name, value)
}

// fingerprint returns what identifies a secret without giving it away; it is empty if the secret can't be had.
func fingerprint(get func(context.Context) (secret.Text, error)) func(context.Context) string {
	return func(ctx context.Context) string {
		text, err := get(ctx)
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%x", sha256.Sum256([]byte(text.Reveal())))
	}
}

// maxKeyFile is more than any key or token has.
const maxKeyFile = 64 << 10

// checkKey refuses what no header can carry, such as a whole table of keys. The error quotes nothing.
func checkKey(name, key string) error {
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s holds more than a key: want one word of ASCII letters, digits and signs", name)
	}
	return nil
}
