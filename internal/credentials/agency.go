package credentials

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// Agency lets an account act for another one.
type Agency struct {
	DomainName string        // name of the account that has the agency
	Name       string        // of the agency
	Duration   time.Duration // of the keys, 15m to 24h
}

// AssumeAgency gets temporary keys of an agency. The request is authorized by another source.
func AssumeAgency(base Source, iam IAM, region string, a Agency) Source {
	from := fmt.Sprintf("assume_agency: %s of %s", a.Name, a.DomainName)
	baseKeys := func(ctx context.Context) (secret.Text, error) {
		grant, err := base.Grant(ctx, huaweicloud.Scope{})
		return secret.New(cmp.Or(huaweicloud.KeyID(grant), fmt.Sprintf("%p", grant))), err
	}
	keys := func(ctx context.Context) (*lease, error) {
		c := iam(region)
		c.Auth = base
		c.Advice = map[string]string{
			huaweicloud.ReasonForbidden:   "grant the role Agent Operator to whose keys these are, and let the agency trust their account",
			huaweicloud.ReasonNotFound:    "check domain_name and agency_name",
			huaweicloud.ReasonClientError: "check domain_name, agency_name and duration",
		}
		keys, err := securityTokens(ctx, c, object{
			"methods":     []string{"assume_role"},
			"assume_role": object{"agency_name": a.Name, "domain_name": a.DomainName, "duration_seconds": int(a.Duration.Seconds())},
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return keys, nil
	}
	return &agency{newTemporary(Status{From: from}, fetchTimeout, baseKeys, keys), base}
}

// agency depends on the files of another source.
type agency struct {
	*temporary

	base Source
}

func (a *agency) Check(ctx context.Context) error { return a.base.Check(ctx) }

func (a *agency) Status() Status {
	status, base := a.temporary.Status(), a.base.Status()
	status.From += ", by " + base.From
	status.Files = base.Files
	return status
}
