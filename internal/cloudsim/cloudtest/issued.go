package cloudtest

import (
	"cmp"
	"crypto/sha3"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

const (
	day        = 24 * time.Hour                // how long tokens and the keys of a machine live
	timeLayout = "2006-01-02T15:04:05.000000Z" // as IAM writes expires_at
)

// issued are the temporary keys and tokens that were issued. The lock of Cloud guards them.
type issued struct {
	serial         int
	lifetime       time.Duration // 0: as documented
	counts         map[string]int
	keys           map[string]keys      // by access key
	tokens         map[string]token     // by what goes into X-Auth-Token
	metadataTokens map[string]time.Time // expiry by token
}

// lease is how long something is valid.
type lease struct {
	owner   string // name of the account
	from    time.Time
	until   time.Time // zero: forever
	revoked bool
}

// keys are permanent or temporary keys.
type keys struct {
	lease

	access, secret, securityToken string
}

type token struct {
	lease
	scope

	id     string // what X-Auth-Token contains
	region string // whose IAM issued the token; empty: IAM's global host
}

// invalid returns why the lease is over; empty: it is not.
func (l lease) invalid() string {
	switch {
	case l.revoked:
		return "was revoked"
	case !l.until.IsZero() && !time.Now().Before(l.until):
		return "expired at " + l.expiry()
	}
	return ""
}

func (l lease) expiry() string { return l.until.UTC().Format(timeLayout) }

// lease returns a lease that starts now. Its length is the requested one, that of SetLifetime or the documented one.
func (i *issued) lease(kind, owner string, stated, documented time.Duration) lease {
	i.serial++
	i.counts[kind]++
	now := time.Now()
	return lease{owner: owner, from: now, until: now.Add(cmp.Or(stated, i.lifetime, documented))}
}

// secret returns n characters, which are always the same for a serial.
func (i *issued) secret(what string, n int) string {
	return hex.EncodeToString(sha3.SumSHAKE128(fmt.Appendf(nil, "%s %d", what, i.serial), n/2))
}

// issueKeys issues temporary keys of an account.
func (c *Cloud) issueKeys(kind, owner string, stated, documented time.Duration) keys {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := keys{lease: c.issued.lease(kind, owner, stated, documented)}
	k.access = strings.ToUpper(c.issued.secret("access key", 20))
	k.secret = c.issued.secret("secret key", 40)
	k.securityToken = c.issued.secret("security token", 200)
	c.issued.keys[k.access] = k
	return k
}

// issueToken issues a token of an account.
func (c *Cloud) issueToken(kind string, s scope, owner string, region string) token {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := token{lease: c.issued.lease(kind, owner, 0, day), scope: s, region: region}
	t.id = "MII" + c.issued.secret("token", 400)
	c.issued.tokens[t.id] = t
	return t
}

// covers returns whether a request is in the scope of the token: a project, or the account for an account-level API. For others, such as those of
// IAM, the scope does not matter.
func (t token) covers(q cloudsim.Call) bool {
	region := t.project.Region
	if q.Account {
		return t.domain
	}
	return q.ProjectID == "" ||
		t.project.ID == q.ProjectID && (q.Region == "" || q.Region == region) && (t.region == "" || t.region == region)
}

// token returns a token, or why it is invalid.
func (c *Cloud) token(id string) (t token, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.issued.tokens[id]
	if !known {
		return token{}, "is unknown"
	}
	return t, t.invalid()
}

// keys returns the permanent or temporary keys with an access key.
func (c *Cloud) keys(access string) (k keys, exist bool) {
	if a := c.find(func(a cloudsim.Account) bool { return a.AccessKey == access }); a.AccessKey != "" {
		return keys{lease: lease{owner: a.Name}, access: access, secret: a.SecretKey, securityToken: a.SecurityToken}, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k, exist = c.issued.keys[access]
	return k, exist
}

// body returns keys as IAM and the metadata service write them.
func (k keys) body() []byte {
	return cloudsim.JSON(map[string]any{"credential": map[string]string{
		"access": k.access, "secret": k.secret, "securitytoken": k.securityToken, "expires_at": k.expiry(),
	}})
}

// Issued returns how many keys and tokens were issued, by kind: "password" and "id_token" for tokens, "token_keys",
// "assume_role", "metadata" and "pod_identity" for temporary keys.
func (c *Cloud) Issued() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.issued.counts)
}

// SetLifetime sets how long temporary keys and tokens live that are issued from then on and whose request sets no duration. By default,
// keys from POST /v3.0/OS-CREDENTIAL/securitytokens live for 15 minutes and everything else for 24 hours.
func (c *Cloud) SetLifetime(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued.lifetime = d
}

// Revoke makes the cloud reject, with a 401, all temporary keys and tokens of an account that were issued before. The permanent keys stay
// valid. Revoke panics if there is no such account.
func (c *Cloud) Revoke(account string) {
	c.account(account)
	c.mu.Lock()
	defer c.mu.Unlock()
	for access, k := range c.issued.keys {
		k.revoked = k.revoked || k.owner == account
		c.issued.keys[access] = k
	}
	for id, t := range c.issued.tokens {
		t.revoked = t.revoked || t.owner == account
		c.issued.tokens[id] = t
	}
}
