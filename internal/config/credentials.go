package config

import (
	"strings"

	"cloud_quota_exporter/internal/secret"
)

// credentialKinds are the keys of credentials of which exactly one is stated.
var credentialKinds = []string{"static", "environment"}

func readCredentials(n node) Credentials {
	var c Credentials
	f, ok := n.fields(credentialKinds...)
	if !ok {
		return c
	}
	if len(f.values) != 1 {
		n.fail("states %d kinds; want exactly one of %s, or no credentials at all for the default chain",
			len(f.values), strings.Join(credentialKinds, ", "))
	}
	if s := f.get("static"); s.stated() {
		c.Static = readStatic(s)
	}
	if e := f.get("environment"); e.stated() {
		if isNull(e.value) {
			e.fail("has no value; write environment: {}")
		} else {
			e.fields()
		}
		c.Environment = &Environment{}
	}
	return c
}

func readStatic(n node) *Static {
	var s Static
	f, ok := n.fields("access_key", "access_key_file", "secret_key", "secret_key_file", "security_token", "security_token_file")
	if !ok {
		return nil
	}
	s.AccessKey, s.AccessKeyFile = textOrFile(f, "access_key", true)
	s.SecretKey, s.SecretKeyFile = textOrFile(f, "secret_key", true)
	s.SecurityToken, s.SecurityTokenFile = textOrFile(f, "security_token", false)
	return &s
}

// textOrFile reads a secret that stands under key, or in the file that is named under key_file.
func textOrFile(f fields, key string, required bool) (value secret.Text, path string) {
	inline, file := f.get(key), f.get(key+"_file")
	switch {
	case inline.stated() && file.stated():
		file.fail("stands beside %s in line %d; keep one of the two", key, inline.line)
	case required && !inline.stated() && !file.stated():
		inline.fail("missing: want %s or %s_file", key, key)
	}
	if inline.stated() {
		text, _ := inline.text()
		value = secret.New(text)
	}
	if file.stated() {
		path, _ = file.text()
	}
	return value, path
}
