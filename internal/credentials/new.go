package credentials

import (
	"cmp"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
)

const defaultMetadata = "http://169.254.169.254"

// Deps are what sources of credentials need.
type Deps struct {
	IAM    IAM
	Region string // in which IAM is asked what concerns the whole account; empty is its global endpoint
	Dial   huaweicloud.Dial
	Getenv func(string) string
	Logins *Logins
}

// New returns the source that is configured: a kind of credentials or the default chain, and the agency on top of it.
func New(c config.Credentials, d Deps) Source {
	source := newKind(c, d)
	if a := c.AssumeAgency; a != nil {
		source = AssumeAgency(source, d.IAM, d.Region, Agency{DomainName: a.DomainName, Name: a.AgencyName, Duration: a.Duration})
	}
	return source
}

func newKind(c config.Credentials, d Deps) Source {
	switch {
	case c.Static != nil:
		s := c.Static
		return Static(Value{s.AccessKey, s.AccessKeyFile}, Value{s.SecretKey, s.SecretKeyFile}, Value{s.SecurityToken, s.SecurityTokenFile})
	case c.Environment != nil:
		return Environment(d.Getenv)
	case c.Profile != nil:
		return Profile(d.Getenv, c.Profile.File, c.Profile.Section)
	case c.InstanceMetadata != nil:
		return InstanceMetadata(d.Dial, cmp.Or(c.InstanceMetadata.Endpoint, defaultMetadata))
	case c.PodIdentity != nil:
		return PodIdentity(d.Dial, d.Getenv)
	case c.OIDC != nil:
		return OIDC(d.IAM, d.Region, c.OIDC.IDPID, c.OIDC.TokenFile)
	case c.Password != nil:
		p := c.Password
		return Password(d.IAM, d.Region, User{DomainName: p.DomainName, Name: p.UserName, Password: Value{p.Password, p.PasswordFile}}, d.Logins)
	default:
		return Chain(Environment(d.Getenv), Profile(d.Getenv, "", ""), InstanceMetadata(d.Dial, defaultMetadata), PodIdentity(d.Dial, d.Getenv))
	}
}
