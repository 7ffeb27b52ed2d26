package credentials

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"

	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const (
	profileFile    = "~/.huaweicloud/credentials"
	profileSection = "basic"
)

// Profile uses the keys in a section of the file of Huawei's SDKs: ak, sk and, for temporary keys, security_token. The default file is
// HUAWEICLOUD_SDK_CREDENTIALS_FILE or ~/.huaweicloud/credentials, and the default section is basic.
func Profile(getenv func(string) string, file, section string) Source {
	section = cmp.Or(section, profileSection)
	named := cmp.Or(file, getenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE"))
	path := cmp.Or(named, profileFile)
	if rest, inHome := strings.CutPrefix(path, "~/"); inHome && getenv("HOME") != "" {
		path = filepath.Join(getenv("HOME"), rest)
	}
	return &permanent{
		status: Status{From: fmt.Sprintf("profile: %s, section %s", path, section), Files: []string{path}},
		read: func(ctx context.Context) (*huaweicloud.Keys, error) {
			return readProfile(ctx, path, section, named != "")
		},
	}
}

// profileOptions keep all characters of a secret: by default, the library ends a value at a semicolon or a hash, removes quotes, and continues on the
// next line after a backslash.
var profileOptions = ini.LoadOptions{IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true}

// readProfile reads the keys. The default file is absent if it can't be read for any reason.
func readProfile(ctx context.Context, file, section string, named bool) (*huaweicloud.Keys, error) {
	where := "profile: " + file
	contents, err := files.Read(ctx, file, maxKeyFile)
	if err != nil {
		const remedy = "want a file that the exporter may read, or another kind of credentials"
		if named {
			return nil, huaweicloud.Advise(fmt.Errorf("%s: %w", where, err), remedy)
		}
		return nil, newAbsent(where+": "+err.Error(), remedy)
	}
	parsed, err := ini.LoadSources(profileOptions, contents)
	if err != nil { // it may quote a secret
		return nil, huaweicloud.Advise(fmt.Errorf("%s is no INI file", where), fmt.Sprintf("want sections such as [%s] with ak and sk", section))
	}
	found, err := parsed.GetSection(section)
	if err != nil {
		return nil, huaweicloud.Advise(fmt.Errorf("%s has no section [%s]", where, section), "its sections can be had by profile: {section: ...}")
	}
	keys := &huaweicloud.Keys{}
	for _, part := range []struct {
		name     string
		required bool
		key      *secret.Text
	}{{"ak", true, &keys.AccessKey}, {"sk", true, &keys.SecretKey}, {"security_token", false, &keys.SecurityToken}} {
		value := strings.TrimSpace(found.Key(part.name).Value())
		if value == "" && part.required {
			return nil, huaweicloud.Advise(fmt.Errorf("%s, section [%s]: %s is missing", where, section, part.name),
				"want ak and sk, or state oidc where the section names an identity provider")
		}
		if err := checkKey(fmt.Sprintf("%s, section [%s]: %s", where, section, part.name), value); err != nil {
			return nil, err
		}
		*part.key = secret.New(value)
	}
	return keys, nil
}
