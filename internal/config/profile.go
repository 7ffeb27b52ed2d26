package config

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"

	"gopkg.in/ini.v1"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/secret"
)

// profileVariable is the variable with the path of the profile's file.
const profileVariable = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"

// The errors of Profile.Read about the contents of the file. They quote nothing of it, because it contains secrets.
var (
	ErrNoINI     = errors.New("not an INI file")
	ErrNoSection = errors.New("no such section")
)

// At returns the path of the file and the section, and whether the path was configured: the default file may be missing.
func (p Profile) At(getenv func(string) string) (path, section string, named bool) {
	path = cmp.Or(p.File, getenv(profileVariable))
	named = path != ""
	path = cmp.Or(path, "~/.huaweicloud/credentials")
	if rest, inHome := strings.CutPrefix(path, "~/"); inHome {
		if home := homeDir(getenv); home != "" {
			path = filepath.Join(home, rest)
		}
	}
	return path, cmp.Or(p.Section, "basic"), named
}

// homeDir returns the home directory: HOME, or on Windows the variables that Huawei Cloud's SDKs use there.
func homeDir(getenv func(string) string) string {
	if runtime.GOOS != "windows" {
		return getenv("HOME")
	}
	home, _ := os.UserHomeDir() // empty without one
	return home
}

// profileOptions keep all characters of a value: by default, the library ends a value at a semicolon or a hash, and continues it on
// the next line after a backslash.
var profileOptions = ini.LoadOptions{IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true}

// parseProfile returns the values in a section of the credentials file of Huawei Cloud's SDKs.
func parseProfile(contents []byte, section string) (map[string]string, error) {
	parsed, err := ini.LoadSources(profileOptions, contents)
	if err != nil { // it may quote a secret
		return nil, ErrNoINI
	}
	found, err := parsed.GetSection(section)
	if err != nil {
		return nil, ErrNoSection
	}
	values := map[string]string{}
	for name, value := range found.KeysHash() {
		values[name] = profileValue(value)
	}
	return values, nil
}

// profileValue parses a value as Huawei Cloud's SDKs do: without a comment after a blank, and without quotes around the rest.
func profileValue(text string) string {
	blank := true
	for i, r := range text {
		if blank && (r == ';' || r == '#') {
			text = text[:i]
			break
		}
		blank = unicode.IsSpace(r)
	}
	text = secret.Trim(text)
	for _, quote := range []string{`"`, `'`} {
		if inner, ok := strings.CutPrefix(text, quote); ok && strings.HasSuffix(inner, quote) {
			return secret.Trim(strings.TrimSuffix(inner, quote))
		}
	}
	return text
}

const (
	profileTimeout = 5 * time.Second
	maxProfile     = 64 << 10 // bytes
)

// Read returns the values of the profile. Its error contains neither the name nor the contents of the file.
func (p Profile) Read(ctx context.Context, getenv func(string) string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	path, section, _ := p.At(getenv)
	contents, err := files.Read(ctx, path, maxProfile)
	if err != nil {
		return nil, err
	}
	return parseProfile(contents, section)
}
