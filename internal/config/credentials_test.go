package config_test

import (
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/secret"
)

// kindsOfCredentials are accounts with each of the kinds that full.yml and aliases.yml don't have.
func kindsOfCredentials() []config.Account {
	agency := func(d time.Duration) *config.AssumeAgency { return &config.AssumeAgency{"O", "quotas", d} }
	var accounts []config.Account
	for i, c := range []config.Credentials{
		{Profile: &config.Profile{}},
		{Profile: &config.Profile{"~/keys", "other"}},
		{InstanceMetadata: &config.InstanceMetadata{}},
		{InstanceMetadata: &config.InstanceMetadata{"http://127.0.0.1:8080"}},
		{PodIdentity: &config.PodIdentity{}},
		{OIDC: &config.OIDC{"my-idp", "/var/run/token"}},
		{Password: &config.Password{"D", "U", secret.New("SECRET"), ""}},
		{Password: &config.Password{"D", "U", secret.Text{}, "/p"}, AssumeAgency: agency(time.Hour)},
		{AssumeAgency: agency(15 * time.Minute)},
	} {
		name := string(rune('a' + i))
		accounts = append(accounts, config.Account{Name: name, Credentials: c, Projects: []config.Project{{"", "r", name}}})
	}
	return accounts
}
