package credentials

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Agency is what another account has agreed to let be done in its name.
type Agency struct {
	DomainName string        // name of the account that has the agency
	Name       string        // of the agency
	Duration   time.Duration // of the keys, 15m to 24h
}

// AssumeAgency takes temporary keys of an agency, asked for with the keys or the token of another source. iam is where to ask.
//
// Source: POST /v3.0/OS-CREDENTIAL/securitytokens, "Obtaining a Temporary Access Key and Security Token Through an Agency" of the IAM API
// Reference.
func AssumeAgency(base Source, iam IAM, region string, a Agency) Source {
	describe := fmt.Sprintf("assume_agency: %s of %s", a.Name, a.DomainName)
	fetch := func(ctx context.Context) (*lease, error) {
		c := iam(region)
		c.Auth = base
		c.Advice = map[string]string{
			huaweicloud.ReasonForbidden:   "grant the role Agent Operator to whose keys these are, and let the agency trust their account",
			huaweicloud.ReasonNotFound:    "check domain_name and agency_name",
			huaweicloud.ReasonClientError: "check domain_name, agency_name and duration",
		}
		keys, err := securityTokens(ctx, c, object{
			"methods": []string{"assume_role"},
			"assume_role": object{
				"agency_name": a.Name, "domain_name": a.DomainName, "duration_seconds": seconds(a.Duration),
			},
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", describe, err)
		}
		return keys, nil
	}
	return &temporary{
		expiring: newExpiring(fetchTimeout, fetch).provenBy(func(ctx context.Context) string {
			grant, err := base.Grant(ctx, huaweicloud.Scope{})
			if err != nil {
				return ""
			}
			return cmp.Or(huaweicloud.KeyID(grant), fmt.Sprintf("%p", grant))
		}),
		describe: func() string { return describe + ", by " + base.Describe() },
		files:    base.Files,
		check:    base.Check,
	}
}
