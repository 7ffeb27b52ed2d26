package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/internal/secret"
)

// Credentials define the source of keys: exactly one kind is set, or none for the default chain.
type Credentials struct {
	Static           *Static
	Environment      *struct{} // keys in the process's environment variables
	Profile          *Profile
	InstanceMetadata *InstanceMetadata
	PodIdentity      *struct{} // the pod identity of CCE
	OIDC             *OIDC
	Password         *Password

	AssumeAgency *AssumeAgency // in addition to the kind; nil: none
}

// Secret is a secret in the configuration, or in a file that is read whenever it is needed. At most one of the two is set.
type Secret struct {
	Text     secret.Text
	File     string
	Variable string // environment variable with the text; "": from the configuration
}

// Static holds permanent keys, or temporary ones with a security token.
type Static struct{ AccessKey, SecretKey, SecurityToken Secret }

// Profile is a section of the credentials file of Huawei Cloud's SDKs.
type Profile struct {
	File    string // "": HUAWEICLOUD_SDK_CREDENTIALS_FILE, or ~/.huaweicloud/credentials
	Section string // "": basic
}

// InstanceMetadata is the agency of the ECS on which the program runs.
type InstanceMetadata struct {
	Endpoint string // scheme and host of the metadata service; "": http://169.254.169.254
}

// OIDC is an identity provider of IAM with an ID token in a file.
type OIDC struct {
	IDPID     string
	TokenFile string
}

// Password is the password of a user.
type Password struct {
	DomainName string // name of the account
	UserName   string
	Password   Secret
}

// AssumeAgency is an agency to assume with the credentials of the kind. Either the name or the ID of its account is set.
type AssumeAgency struct {
	DomainName string // name of the agency's account
	DomainID   string // ID of that account
	AgencyName string
	Duration   time.Duration // lifetime of the keys; default 1h
}

// NeedIAM reports whether keys or tokens come from IAM.
func (c Credentials) NeedIAM() bool {
	return c.OIDC != nil || c.Password != nil || c.AssumeAgency != nil
}

// HoldSecrets reports whether there are secrets in the configuration itself.
func (c Credentials) HoldSecrets() bool {
	return c.Static != nil && (!c.Static.SecretKey.Text.IsEmpty() || !c.Static.SecurityToken.Text.IsEmpty()) ||
		c.Password != nil && !c.Password.Password.Text.IsEmpty() && c.Password.Password.Variable == ""
}

// credentialKinds are the keys of credentials, of which exactly one can be set.
var credentialKinds = []string{"static", "environment", "profile", "instance_metadata", "pod_identity", "oidc", "password"}

func readCredentials(n strictyaml.Node) Credentials {
	var c Credentials
	f, ok := n.Fields(append(slices.Clone(credentialKinds), "assume_agency")...)
	if !ok {
		return c
	}
	stated := 0
	for _, kind := range credentialKinds {
		if f.Get(kind).Stated() {
			stated++
		}
	}
	agency := f.Get("assume_agency")
	if agency.Stated() {
		c.AssumeAgency = readAgency(agency)
	}
	if stated > 1 || stated == 0 && !agency.Stated() {
		n.Fail("%d kinds configured; expected exactly one of %s, or none for the default chain", stated, strings.Join(credentialKinds, ", "))
	}
	readKind(f, "static", &c.Static, func(f strictyaml.Fields) Static {
		return Static{textOrFile(f, "access_key", true), textOrFile(f, "secret_key", true), textOrFile(f, "security_token", false)}
	}, "access_key", "access_key_file", "secret_key", "secret_key_file", "security_token", "security_token_file")
	readKind(f, "environment", &c.Environment, nothing)
	readKind(f, "profile", &c.Profile, func(f strictyaml.Fields) Profile {
		return Profile{optional(f, "file"), optional(f, "section")}
	}, "file", "section")
	readKind(f, "instance_metadata", &c.InstanceMetadata, readMetadata, "endpoint")
	readKind(f, "pod_identity", &c.PodIdentity, nothing)
	readKind(f, "oidc", &c.OIDC, readOIDC, "idp_id", "token_file")
	readKind(f, "password", &c.Password, func(f strictyaml.Fields) Password {
		return Password{required(f, "domain_name", "the name of the account"), required(f, "user_name", "the name of the user"), textOrFile(f, "password", true)}
	}, "domain_name", "user_name", "password", "password_file")
	return c
}

// readKind reads a kind with its keys, if it is set.
func readKind[T any](f strictyaml.Fields, kind string, to **T, read func(strictyaml.Fields) T, keys ...string) {
	n := f.Get(kind)
	if !n.Stated() {
		return
	}
	*to = new(T)
	if n.IsNull() {
		n.Fail("has no value; write %s: {}", kind)
		return
	}
	if inner, ok := n.Fields(keys...); ok {
		**to = read(inner)
	}
}

// nothing reads a kind without keys.
func nothing(strictyaml.Fields) struct{} { return struct{}{} }

var metadataEndpoint = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

func readMetadata(f strictyaml.Fields) InstanceMetadata {
	var m InstanceMetadata
	if n := f.Get("endpoint"); n.Stated() {
		m.Endpoint, _ = n.Matching(metadataEndpoint, "scheme and host such as http://169.254.169.254")
	}
	return m
}

const idpWant = "the name of the identity provider in IAM"

var headerWord = regexp.MustCompile(`^[!-~]{1,128}$`)

func readOIDC(f strictyaml.Fields) OIDC {
	var o OIDC
	if n := f.Get("idp_id"); n.Stated() {
		o.IDPID, _ = n.Matching(headerWord, idpWant)
	} else {
		n.Fail("missing; expected %s", idpWant)
	}
	o.TokenFile = required(f, "token_file", "the file with the ID token")
	return o
}

const (
	defaultAgencyDuration = time.Hour // IAM's default of 15 minutes would renew keys four times as often
	leastAgencyDuration   = 15 * time.Minute
	mostAgencyDuration    = 24 * time.Hour
)

func readAgency(n strictyaml.Node) *AssumeAgency {
	a := &AssumeAgency{Duration: defaultAgencyDuration}
	f, ok := n.Fields("domain_name", "domain_id", "agency_name", "duration")
	if !ok {
		return a
	}
	name, id := f.Get("domain_name"), f.Get("domain_id")
	switch {
	case name.Stated() && id.Stated():
		id.Fail("conflicts with domain_name in line %d; remove one of them", name.Line())
	case id.Stated():
		a.DomainID, _ = id.Matching(domainID, domainIDWant)
	default:
		a.DomainName = required(f, "domain_name", "the name of the account that has the agency, or domain_id")
	}
	a.AgencyName = required(f, "agency_name", "the name of the agency")
	if d := f.Get("duration"); d.Stated() {
		a.Duration, _ = d.Duration(leastAgencyDuration, mostAgencyDuration)
	}
	return a
}

// required reads a mandatory text; want describes it to the user.
func required(f strictyaml.Fields, key, want string) string {
	if n := f.Get(key); !n.Stated() {
		n.Fail("missing; expected %s", want)
	}
	return optional(f, key)
}

// optional reads an optional text.
func optional(f strictyaml.Fields, key string) string {
	n := f.Get(key)
	if !n.Stated() {
		return ""
	}
	text, ok := n.Text()
	if ok && strings.ContainsFunc(text, unicode.IsControl) {
		n.Fail("has a control character, such as a line break; expected a name in one line")
	}
	return text
}

// textOrFile reads a secret under key, or the name of its file under key_file.
func textOrFile(f strictyaml.Fields, key string, required bool) Secret {
	inline, file := f.Get(key), f.Get(key+"_file")
	switch {
	case inline.Stated() && file.Stated():
		file.Fail("conflicts with %s in line %d; remove one of them", key, inline.Line())
	case required && !inline.Stated() && !file.Stated():
		inline.Fail("missing; expected %s or %s_file", key, key)
	}
	s := Secret{File: optional(f, key+"_file")}
	if inline.Stated() {
		text, _ := inline.Text()
		s.Text = secret.New(text)
	}
	return s
}
