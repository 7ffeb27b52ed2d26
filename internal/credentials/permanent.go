package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// permanent is a source of keys on this machine: in the configuration, in variables, or in files.
type permanent struct {
	status Status
	read   func(context.Context) (*huaweicloud.Keys, error)

	mu sync.Mutex // for status.Err
}

func (p *permanent) Grant(ctx context.Context, _ huaweicloud.Scope) (huaweicloud.Grant, error) {
	keys, err := p.read(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Err = err
	if err != nil {
		return nil, err // a nil *Keys would be a Grant that is not nil
	}
	return keys, nil
}

// Reject does nothing, because Grant always reads the keys.
func (p *permanent) Reject(huaweicloud.Grant) {}

func (p *permanent) Check(ctx context.Context) error {
	_, err := p.read(ctx)
	return err
}

func (p *permanent) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// newStatic uses the keys in the configuration, or in the files that it names.
func newStatic(s config.Static) *permanent {
	var from, names []string
	for _, part := range []struct {
		name  string
		value config.Secret
	}{{"access_key", s.AccessKey}, {"secret_key", s.SecretKey}, {"security_token", s.SecurityToken}} {
		if part.value != (config.Secret{}) {
			from = append(from, describe(part.name, part.value))
			names = append(names, fileNames(part.value.File)...)
		}
	}
	return &permanent{
		status: Status{From: "static: " + strings.Join(from, ", "), Files: slices.Clip(names)}, // a caller may append other names
		read: files.Keep(func(ctx context.Context) (*huaweicloud.Keys, error) {
			ctx, cancel := context.WithTimeout(ctx, fileTimeout)
			defer cancel()
			return files.Together(ctx, names, func(ctx context.Context) (*huaweicloud.Keys, error) { return readStatic(ctx, s) })
		}),
	}
}

func readStatic(ctx context.Context, s config.Static) (*huaweicloud.Keys, error) {
	ak, errAK := configured(ctx, "access_key", "key", s.AccessKey, checkKey)
	sk, errSK := configured(ctx, "secret_key", "key", s.SecretKey, checkKey)
	token, errToken := configured(ctx, "security_token", "key", s.SecurityToken, checkKey)
	if err := errors.Join(errAK, errSK, errToken); err != nil {
		return nil, err
	}
	return &huaweicloud.Keys{AccessKey: ak, SecretKey: sk, SecurityToken: token}, nil
}

// newEnvironment uses the keys in environment variables.
func newEnvironment(getenv func(string) string) *permanent {
	names, err := findVariables(getenv)
	if err != nil {
		return &permanent{status: Status{From: "environment"}, read: func(context.Context) (*huaweicloud.Keys, error) { return nil, err }}
	}
	return &permanent{
		status: Status{From: "environment: " + names[0] + ", " + names[1]},
		read:   func(context.Context) (*huaweicloud.Keys, error) { return namedKeys("environment: ", names, getenv) },
	}
}

// findVariables returns the first names of which one is set; the other must be set too.
func findVariables(getenv func(string) string) ([3]string, error) {
	for _, names := range config.KeyVariables {
		hasAccessKey, hasSecretKey := getenv(names[0]) != "", getenv(names[1]) != ""
		switch {
		case hasAccessKey && hasSecretKey:
			return names, nil
		case hasAccessKey:
			return names, fmt.Errorf("environment: %s is set, but %s is not", names[0], names[1])
		case hasSecretKey:
			return names, fmt.Errorf("environment: %s is set, but %s is not", names[1], names[0])
		}
	}
	return [3]string{}, newAbsent("environment: no keys set",
		"set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK (or HW_ACCESS_KEY and HW_SECRET_KEY, or OS_ACCESS_KEY and OS_SECRET_KEY), "+
			"or configure credentials")
}

// namedKeys returns the keys with these names; where is the prefix of its errors.
func namedKeys(where string, names [3]string, value func(string) string) (*huaweicloud.Keys, error) {
	for _, name := range names {
		if err := checkKey(where+name, value(name)); err != nil {
			return nil, err
		}
	}
	return &huaweicloud.Keys{
		AccessKey: secret.New(value(names[0])), SecretKey: secret.New(value(names[1])), SecurityToken: secret.New(value(names[2])),
	}, nil
}

// newProfile uses the keys in a section of the credentials file of Huawei Cloud's SDKs: ak, sk and, for temporary keys,
// security_token. says are its other values when the configuration was loaded; it is an error if they have changed.
func newProfile(getenv func(string) string, p config.Profile, says map[string]string) *permanent {
	path, section, _ := p.At(getenv)
	return &permanent{
		status: Status{From: fmt.Sprintf("profile: %s, section %s", path, section), Files: []string{path}},
		read: files.Keep(func(ctx context.Context) (*huaweicloud.Keys, error) {
			values, where, err := readProfile(ctx, getenv, p)
			if err != nil {
				return nil, err
			}
			for _, name := range slices.Sorted(maps.Keys(says)) {
				if values[name] == says[name] {
					continue
				}
				err := huaweicloud.Advise(errors.New(where+name+" has changed since the configuration was loaded"), "reload the configuration")
				if values[name] == "" { // the profile may be half-written
					return nil, err
				}
				return nil, &wholeError{err}
			}
			return namedKeys(where, [3]string{"ak", "sk", "security_token"}, func(name string) string { return values[name] })
		}),
	}
}

// readProfile reads a section with keys; where is the prefix of errors about it. The default file counts as absent if it cannot be
// read for any reason.
func readProfile(ctx context.Context, getenv func(string) string, p config.Profile) (values map[string]string, where string, err error) {
	path, section, named := p.At(getenv)
	file := "profile: " + path
	where = file + ", section [" + section + "]: "
	values, err = p.Read(ctx, getenv)
	const orOther = ", or configure another kind of credentials"
	switch {
	case errors.Is(err, config.ErrNoINI):
		return nil, "", huaweicloud.Advise(fmt.Errorf("%s is not an INI file", file), fmt.Sprintf("use sections such as [%s] with ak and sk", section))
	case errors.Is(err, config.ErrNoSection):
		return nil, "", huaweicloud.Advise(fmt.Errorf("%s has no section [%s]", file, section), "select another section with profile: {section: ...}")
	case err != nil && named:
		return nil, "", huaweicloud.Advise(fmt.Errorf("%s: %w", file, err), toRead(err)+orOther)
	case err != nil:
		return nil, "", newAbsent(file+": "+err.Error(), toRead(err)+orOther)
	}
	for _, name := range []string{"ak", "sk"} {
		if values[name] == "" {
			return nil, "", huaweicloud.Advise(errors.New(where+name+" is missing"), "add ak and sk, or configure oidc if the section has an identity provider")
		}
	}
	if values["idp_id"] != "" && values["id_token_file"] != "" { // Huawei Cloud's SDKs prefer it to the keys, which may be those of another user
		return nil, "", huaweicloud.Advise(errors.New(where+"it has an identity provider"),
			"set credentials: {oidc: {idp_id: ..., token_file: ...}}, or remove idp_id and id_token_file to use ak and sk")
	}
	return values, where, nil
}

// describe returns the origin of a secret; name is its name in the configuration.
func describe(name string, s config.Secret) string {
	if s.File != "" {
		return name + "_file " + s.File
	}
	return name + " in " + cmp.Or(s.Variable, "the configuration")
}

// fileNames returns the files of a source with an optional file.
func fileNames(file string) []string {
	if file == "" {
		return nil
	}
	return []string{file}
}

// configured returns a secret of the configuration, or of the file that it names, without surrounding white space. name is its name
// in errors, and check validates it. A secret that is set must not be blank.
func configured(ctx context.Context, name, kind string, s config.Secret, check func(name, text string) error) (secret.Text, error) {
	text := secret.Trim(s.Text.Reveal())
	if s.File != "" {
		name += "_file " + s.File
		var err error
		if text, err = readSecret(ctx, name, s.File, kind); err != nil {
			return secret.Text{}, err
		}
	}
	switch {
	case text == "" && !s.Text.IsEmpty():
		return secret.Text{}, fmt.Errorf("%s is empty", name)
	case text == s.Text.Reveal():
		return s.Text, check(name, text) // New takes longer
	}
	return secret.New(text), check(name, text)
}

// readKey reads a file with a key or token; name is its name in errors.
func readKey(ctx context.Context, name, file string) (secret.Text, error) {
	text, err := readSecret(ctx, name, file, "key")
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(text), checkKey(name, text)
}

// readSecret reads a file with one secret, and returns it without surrounding white space.
func readSecret(ctx context.Context, name, file, kind string) (string, error) {
	contents, err := readFile(ctx, file)
	if err != nil {
		return "", huaweicloud.Advise(fmt.Errorf("%s: %w", name, err), toRead(err)+", with only the "+kind+" in it")
	}
	text := secret.Trim(string(contents))
	if text == "" {
		return "", huaweicloud.Advise(fmt.Errorf("%s is empty", name), "write only the "+kind+" to it")
	}
	return text, nil
}

const (
	fileTimeout = 5 * time.Second // for the files of a source; less than the timeout of a service, so that the error of the file is shown
	maxKeyFile  = 64 << 10        // more than any key or token has
)

func readFile(ctx context.Context, file string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	return files.Read(ctx, file, maxKeyFile)
}

// toRead returns the first part of the remedy for a file that was not read.
func toRead(err error) string {
	_, hangs := errors.AsType[*files.NoResponseError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create the file"
	case hangs || errors.Is(err, fs.ErrPermission):
		return "make the file readable for the exporter"
	default:
		return "use another file"
	}
}

// checkKey returns an error if the key was altered, or cannot be sent in a header. It quotes nothing.
func checkKey(name, key string) error {
	if err := checkSpoilt(name, key); err != nil {
		return err
	}
	if secret.HasQuote(key) {
		return huaweicloud.Advise(fmt.Errorf("%s starts or ends with quotes", name), "remove the quotes")
	}
	for _, r := range key {
		switch {
		case r > unicode.MaxASCII && unicode.IsSpace(r): // it would separate words, and looks like a blank or is invisible
			what, remedy := secret.Invisible(r)
			return &wholeError{huaweicloud.Advise(fmt.Errorf("%s %s", name, what), remedy)}
		case r <= ' ' || r > '~':
			return fmt.Errorf("%s has more than a key: expected one word of ASCII letters, digits, and symbols", name)
		}
	}
	return nil
}

// checkSpoilt returns an error if a key or password was altered. It quotes nothing.
func checkSpoilt(name, text string) error {
	if what, remedy := secret.Spoilt(text); what != "" {
		return &wholeError{huaweicloud.Advise(fmt.Errorf("%s %s", name, what), remedy)}
	}
	return nil
}

// wholeError is the error of a file that is not being replaced: previous contents are not used.
type wholeError struct{ error }

func (e *wholeError) Unwrap() error { return e.error }

// IsWhole is for files.Keep.
func (e *wholeError) IsWhole() bool { return true }
