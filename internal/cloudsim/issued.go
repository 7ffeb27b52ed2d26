package cloudsim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"
)

// What Issued counts.
const (
	byPassword    = "password"
	byIDToken     = "id_token"
	byToken       = "token_keys"
	byAgency      = "assume_role"
	byMetadata    = "metadata"
	byPodIdentity = "pod_identity"
)

const (
	day = 24 * time.Hour // how long tokens and the keys of a machine live

	timeLayout = "2006-01-02T15:04:05.000000Z" // as IAM writes expires_at
)

// issued are the temporary keys and tokens that were given out. The cloud's lock guards them.
type issued struct {
	serial         int
	lifetime       time.Duration // 0: what the API's document says
	counts         map[string]int
	keys           map[string]temporaryKeys // by access key
	tokens         map[string]token         // by what goes into X-Auth-Token
	metadataTokens map[string]time.Time     // when they expire
}

// lease is for how long something issued is good.
type lease struct {
	owner   *account
	from    time.Time
	until   time.Time // zero: for good
	revoked bool
}

// temporaryKeys are keys as a request is signed with; permanent ones have a lease without an end.
type temporaryKeys struct {
	lease

	access, secret, securityToken string
}

// token is what goes into X-Auth-Token.
type token struct {
	lease
	scope

	id     string
	region string // whose IAM issued it; empty: IAM's global host
}

func newIssued() issued {
	return issued{
		counts: map[string]int{}, keys: map[string]temporaryKeys{}, tokens: map[string]token{}, metadataTokens: map[string]time.Time{},
	}
}

// invalid tells why the lease is over, or nothing.
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

// lease begins a lease now. Documented is how long it is where neither the request nor SetLifetime states it.
func (i *issued) lease(kind string, owner *account, stated, documented time.Duration) lease {
	i.serial++
	i.counts[kind]++
	now := time.Now()
	return lease{owner: owner, from: now, until: now.Add(cmp.Or(stated, i.lifetime, documented))}
}

// secret makes n characters that are the same for the same serial.
func (i *issued) secret(what string, n int) string {
	var b strings.Builder
	for part := 0; b.Len() < n; part++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", what, i.serial, part))
		b.WriteString(hex.EncodeToString(sum[:]))
	}
	return b.String()[:n]
}

// issueKeys gives out temporary keys of an account.
func (c *Cloud) issueKeys(kind string, owner *account, stated, documented time.Duration) temporaryKeys {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := temporaryKeys{lease: c.issued.lease(kind, owner, stated, documented)}
	k.access = strings.ToUpper(c.issued.secret("access key", 20))
	k.secret = c.issued.secret("secret key", 40)
	k.securityToken = c.issued.secret("security token", 200)
	c.issued.keys[k.access] = k
	return k
}

// issueToken gives out a token.
func (c *Cloud) issueToken(kind string, s scope, owner *account, region string) token {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := token{lease: c.issued.lease(kind, owner, 0, day), scope: s, region: region}
	t.id = "MII" + c.issued.secret("token", 400)
	c.issued.tokens[t.id] = t
	return t
}

// token finds a token, or tells why it is not good.
func (c *Cloud) token(id string) (t token, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.issued.tokens[id]
	if !known {
		return token{}, "is unknown"
	}
	return t, t.invalid()
}

// Issued returns how many keys and tokens were issued so far, by kind: "password" and "id_token" for tokens, "token_keys",
// "assume_role", "metadata" and "pod_identity" for temporary keys.
func (c *Cloud) Issued() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.issued.counts)
}

// SetLifetime sets how long temporary keys and tokens live that are issued from now on and whose request states no duration. Before
// it is called, keys from POST /v3.0/OS-CREDENTIAL/securitytokens live for 15 minutes and everything else for 24 hours.
func (c *Cloud) SetLifetime(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued.lifetime = d
}

// Revoke makes the cloud refuse, with a 401, all temporary keys and tokens of the account that were issued so far. Its permanent
// keys stay good.
func (c *Cloud) Revoke(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner := c.account(account)
	for access, k := range c.issued.keys {
		k.revoked = k.revoked || k.owner == owner
		c.issued.keys[access] = k
	}
	for id, t := range c.issued.tokens {
		t.revoked = t.revoked || t.owner == owner
		c.issued.tokens[id] = t
	}
}
