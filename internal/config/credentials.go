package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/secret"
)

// Credentials tell where keys come from: exactly one kind is set, or none for the default chain.
type Credentials struct {
	Static           *Static
	Environment      *Environment
	Profile          *Profile
	InstanceMetadata *InstanceMetadata
	PodIdentity      *PodIdentity
	OIDC             *OIDC
	Password         *Password

	AssumeAgency *AssumeAgency // on top of the kind; nil: none
}

// Static are permanent or temporary keys in the file itself or in files of their own. The access key and the secret key are each there
// in exactly one of the two forms, the security token in at most one.
type Static struct {
	AccessKey, SecretKey, SecurityToken             secret.Text
	AccessKeyFile, SecretKeyFile, SecurityTokenFile string
}

// Environment stands for the keys in the environment variables of the process.
type Environment struct{}

// Profile is a section of the file in which Huawei's SDKs keep keys.
type Profile struct {
	File    string // "": HUAWEICLOUD_SDK_CREDENTIALS_FILE, or ~/.huaweicloud/credentials
	Section string // "": basic
}

// InstanceMetadata stands for the agency of the ECS on which the program runs.
type InstanceMetadata struct {
	Endpoint string // scheme and host of the metadata service; "": http://169.254.169.254
}

// PodIdentity stands for the identity that CCE gives a pod.
type PodIdentity struct{}

// OIDC is an identity provider of IAM whose id token stands in a file.
type OIDC struct {
	IDPID     string
	TokenFile string
}

// Password is that of a user, in the file itself or in one of its own.
type Password struct {
	DomainName   string // name of the account
	UserName     string
	Password     secret.Text
	PasswordFile string
}

// AssumeAgency is an agency whose keys are asked for with those of the kind.
type AssumeAgency struct {
	DomainName string // name of the account that has the agency
	AgencyName string
	Duration   time.Duration // of the keys; default 1h
}

// HoldSecrets tells whether secrets stand in the configuration itself.
func (c Credentials) HoldSecrets() bool {
	return c.Static != nil && (!c.Static.SecretKey.IsEmpty() || !c.Static.SecurityToken.IsEmpty()) ||
		c.Password != nil && !c.Password.Password.IsEmpty()
}

// credentialKinds are the keys of credentials of which exactly one is stated.
var credentialKinds = []string{"static", "environment", "profile", "instance_metadata", "pod_identity", "oidc", "password"}

func readCredentials(n node) Credentials {
	var c Credentials
	f, ok := n.fields(append(slices.Clone(credentialKinds), "assume_agency")...)
	if !ok {
		return c
	}
	stated := 0
	for _, kind := range credentialKinds {
		if f.get(kind).stated() {
			stated++
		}
	}
	agency := f.get("assume_agency")
	if agency.stated() {
		c.AssumeAgency = readAgency(agency)
	}
	if stated > 1 || stated == 0 && !agency.stated() {
		n.fail("states %d kinds; want exactly one of %s, or none at all for the default chain", stated, strings.Join(credentialKinds, ", "))
	}
	readKind(f, "static", &c.Static, readStatic, staticKeys...)
	readKind(f, "environment", &c.Environment, func(fields) Environment { return Environment{} })
	readKind(f, "profile", &c.Profile, readProfile, "file", "section")
	readKind(f, "instance_metadata", &c.InstanceMetadata, readMetadata, "endpoint")
	readKind(f, "pod_identity", &c.PodIdentity, func(fields) PodIdentity { return PodIdentity{} })
	readKind(f, "oidc", &c.OIDC, readOIDC, "idp_id", "token_file")
	readKind(f, "password", &c.Password, readPassword, "domain_name", "user_name", "password", "password_file")
	return c
}

// readKind reads a kind with its keys, if it is stated.
func readKind[T any](f fields, kind string, to **T, read func(fields) T, keys ...string) {
	n := f.get(kind)
	if !n.stated() {
		return
	}
	var value T
	*to = &value
	if n.isNull() {
		n.fail("has no value; write %s: {}", kind)
		return
	}
	if inner, ok := n.fields(keys...); ok {
		value = read(inner)
	}
}

var staticKeys = []string{"access_key", "access_key_file", "secret_key", "secret_key_file", "security_token", "security_token_file"}

func readStatic(f fields) Static {
	var s Static
	s.AccessKey, s.AccessKeyFile = textOrFile(f, "access_key", true)
	s.SecretKey, s.SecretKeyFile = textOrFile(f, "secret_key", true)
	s.SecurityToken, s.SecurityTokenFile = textOrFile(f, "security_token", false)
	return s
}

func readProfile(f fields) Profile {
	var p Profile
	if n := f.get("file"); n.stated() {
		p.File, _ = n.text()
	}
	if n := f.get("section"); n.stated() {
		p.Section, _ = n.text()
	}
	return p
}

var metadataEndpoint = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

func readMetadata(f fields) InstanceMetadata {
	var m InstanceMetadata
	if n := f.get("endpoint"); n.stated() {
		m.Endpoint, _ = n.matching(metadataEndpoint, "scheme and host such as http://169.254.169.254")
	}
	return m
}

var headerWord = regexp.MustCompile(`^[!-~]{1,128}$`)

func readOIDC(f fields) OIDC {
	var o OIDC
	if n := f.get("idp_id"); n.stated() {
		o.IDPID, _ = n.matching(headerWord, "the name of the identity provider in IAM")
	} else {
		n.fail("missing: want the name of the identity provider in IAM")
	}
	o.TokenFile = required(f, "token_file", "the file with the id token")
	return o
}

func readPassword(f fields) Password {
	p := Password{
		DomainName: required(f, "domain_name", "the name of the account"),
		UserName:   required(f, "user_name", "the name of the user"),
	}
	p.Password, p.PasswordFile = textOrFile(f, "password", true)
	return p
}

const defaultAgencyDuration = time.Hour // IAM's own, 15 minutes, would have keys fetched four times as often

func readAgency(n node) *AssumeAgency {
	a := &AssumeAgency{Duration: defaultAgencyDuration}
	f, ok := n.fields("domain_name", "agency_name", "duration")
	if !ok {
		return a
	}
	a.DomainName = required(f, "domain_name", "the name of the account that has the agency")
	a.AgencyName = required(f, "agency_name", "the name of the agency")
	if d := f.get("duration"); d.stated() {
		a.Duration, _ = d.duration(15*time.Minute, 24*time.Hour)
	}
	return a
}

// required reads a text that must be stated; want describes it to the user.
func required(f fields, key, want string) string {
	n := f.get(key)
	if !n.stated() {
		n.fail("missing: want %s", want)
		return ""
	}
	text, _ := n.text()
	return text
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
