package cloudtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Identities are the identities of an account in addition to its permanent keys.
type Identities struct {
	Users            []User           // log in with a password, POST /v3/auth/tokens
	Agencies         []Agency         // issue temporary keys of the account to callers of other accounts
	IdentityProvider IdentityProvider // its ID tokens are exchanged for a token; empty: none
}

// User logs in with a password.
type User struct{ Name, Password string }

// Agency lets callers of another account act in the account that has it.
type Agency struct {
	Name   string
	Trusts string // name of the account whose callers may assume it
}

// IdentityProvider lets the holder of an ID token act in the account that has it.
type IdentityProvider struct{ ID, IDToken string }

// SetIdentities sets the identities of an account. It panics if there is no such account.
func (c *Cloud) SetIdentities(account string, i Identities) {
	c.account(account)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identities[account] = i
}

// SetPassword changes the password of a user. Tokens that were issued before stay valid until Revoke.
func (c *Cloud) SetPassword(account, user, password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	identities := c.identities[account]
	i := slices.IndexFunc(identities.Users, func(u User) bool { return u.Name == user })
	if i < 0 {
		panic(fmt.Sprintf("cloudtest: account %q has no user %q", account, user))
	}
	identities.Users = slices.Clone(identities.Users)
	identities.Users[i].Password = password
	c.identities[account] = identities
}

// SetIDToken replaces the ID token that the identity provider of an account accepts.
func (c *Cloud) SetIDToken(account, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	identities := c.identities[account]
	if identities.IdentityProvider.ID == "" {
		panic(fmt.Sprintf("cloudtest: account %q has no identity provider", account))
	}
	identities.IdentityProvider.IDToken = token
	c.identities[account] = identities
}

// tokenAPIs are IAM's APIs that issue tokens and temporary keys: "Obtaining a User Token Through Password Authentication", "Obtaining a
// Token with an OpenID Connect ID Token" and "Obtaining a Temporary Access Key and Security Token Through an Agency" or "Through a Token".
func (c *Cloud) tokenAPIs() []cloudsim.API {
	iam := func(string) string { return "iam" }
	return []cloudsim.API{
		{Service: "iam", Method: http.MethodPost, Path: "/v3/auth/tokens", Host: iam, Answer: c.createToken},
		{Service: "iam", Method: http.MethodPost, Path: "/v3.0/OS-AUTH/id-token/tokens", Host: iam, Answer: c.createTokenByIDToken},
		{Service: "iam", Method: http.MethodPost, Path: "/v3.0/OS-CREDENTIAL/securitytokens", Host: iam, Answer: c.createKeys},
	}
}

// authRequest is the body of IAM's requests for tokens and temporary keys.
type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct {
					Name, Password string
					Domain         named
				}
			}
			Token struct {
				ID       string
				Duration *int `json:"duration_seconds"`
			}
			AssumeRole struct {
				Agency     string `json:"agency_name"`
				DomainID   string `json:"domain_id"`
				DomainName string `json:"domain_name"`
				Duration   *int   `json:"duration_seconds"`
			} `json:"assume_role"`
		}
		IDToken struct{ ID string } `json:"id_token"`
		Scope   struct{ Project, Domain *named }
	}
}

// readAuth returns an empty request if the body is malformed.
func readAuth(q cloudsim.Call) authRequest {
	var r authRequest
	if json.Unmarshal(q.Body, &r) != nil {
		return authRequest{}
	}
	return r
}

// uses returns whether the request has this method, and no other.
func (r authRequest) uses(method string) bool {
	return slices.Equal(r.Auth.Identity.Methods, []string{method})
}

func malformed(q cloudsim.Call) cloudsim.Answer {
	return q.ServiceError(http.StatusBadRequest, "The request body is invalid")
}

// named is how requests to IAM identify a domain or a project: by the ID, the name or both.
type named struct{ ID, Name string }

func (n named) is(id, name string) bool {
	return n != named{} && (n.ID == "" || n.ID == id) && (n.Name == "" || n.Name == name)
}

// findAccount returns the name of the account of a domain, or "".
func (c *Cloud) findAccount(domain named) string {
	return c.find(func(a cloudsim.Account) bool { return domain.is(cloudsim.ID(a.Name), a.Name) }).Name
}

// createToken handles IAM's POST /v3/auth/tokens.
func (c *Cloud) createToken(q cloudsim.Call) cloudsim.Answer {
	r := readAuth(q)
	if !r.uses("password") {
		return malformed(q)
	}
	user := r.Auth.Identity.Password.User
	owner := c.findAccount(user.Domain)
	if !slices.Contains(c.identitiesOf(owner).Users, User{user.Name, user.Password}) {
		return q.ServiceError(http.StatusUnauthorized, "The username or password is wrong.")
	}
	return c.answerToken(q, "password", owner, r, "password", map[string]any{
		"domain": domain(owner), "id": cloudsim.ID(owner + "/" + user.Name), "name": user.Name, "password_expires_at": "",
	})
}

func (c *Cloud) identitiesOf(account string) Identities {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identities[account]
}

// createTokenByIDToken handles IAM's POST /v3.0/OS-AUTH/id-token/tokens.
func (c *Cloud) createTokenByIDToken(q cloudsim.Call) cloudsim.Answer {
	r := readAuth(q)
	if r.Auth.IDToken.ID == "" {
		return malformed(q)
	}
	provider := q.Header.Get("X-Idp-Id")
	owner := c.find(func(a cloudsim.Account) bool {
		return c.identitiesOf(a.Name).IdentityProvider == IdentityProvider{provider, r.Auth.IDToken.ID}
	}).Name
	if owner == "" {
		return q.ServiceError(http.StatusUnauthorized, "The identity provider or its id token is invalid")
	}
	return c.answerToken(q, "id_token", owner, r, "mapped", map[string]any{
		"domain": domain(owner), "id": cloudsim.ID(owner + "/" + provider), "name": "FederationUser",
		"OS-FEDERATION": map[string]any{
			"groups": []any{}, "identity_provider": map[string]string{"id": provider}, "protocol": map[string]string{"id": "oidc"},
		},
	})
}

// answerToken issues a token for the scope of the request.
func (c *Cloud) answerToken(q cloudsim.Call, kind, owner string, r authRequest, method string, user map[string]any) cloudsim.Answer {
	s, exists := scopeOf(c.account(owner), r)
	if !exists {
		return q.ServiceError(http.StatusBadRequest, "The project or domain of the scope does not exist")
	}
	region := q.Region
	if !isRegion(region) {
		region = ""
	}
	t := c.issueToken(kind, s, owner, region)
	body := map[string]any{
		"expires_at": t.expiry(), "issued_at": t.from.UTC().Format(timeLayout), "methods": []string{method},
		"user": user, "roles": []any{}, "catalog": []any{},
	}
	if s.project.ID != "" {
		body["project"] = map[string]any{"domain": domain(owner), "id": s.project.ID, "name": s.project.Name}
	}
	if s.domain {
		body["domain"] = domain(owner)
	}
	return cloudsim.Answer{
		Status: http.StatusCreated, Header: http.Header{"X-Subject-Token": {t.id}}, Body: cloudsim.JSON(map[string]any{"token": body}),
	}
}

// isRegion distinguishes a region ("eu-de") from the name of a cloud ("myhuaweicloud") in IAM's global host name.
func isRegion(label string) bool { return len(label) > 3 && label[2] == '-' }

func domain(account string) map[string]string {
	return map[string]string{"id": cloudsim.ID(account), "name": account}
}

// scope is what a token is valid for: a project, the account, or neither.
type scope struct {
	project cloudsim.Project
	domain  bool
}

// scopeOf returns the scope that a request names. If it names a project and a domain, the project has precedence, as documented.
func scopeOf(owner cloudsim.Account, r authRequest) (s scope, exists bool) {
	asked := r.Auth.Scope
	switch {
	case asked.Project != nil:
		i := slices.IndexFunc(owner.Projects, func(p cloudsim.Project) bool { return asked.Project.is(p.ID, p.Name) })
		if i < 0 {
			return scope{}, false
		}
		return scope{project: owner.Projects[i]}, true
	case asked.Domain != nil:
		return scope{domain: true}, asked.Domain.is(cloudsim.ID(owner.Name), owner.Name)
	}
	return scope{}, true
}

// createKeys handles IAM's POST /v3.0/OS-CREDENTIAL/securitytokens.
func (c *Cloud) createKeys(q cloudsim.Call) cloudsim.Answer {
	switch r := readAuth(q); {
	case r.uses("token"):
		return c.exchangeToken(q, r)
	case r.uses("assume_role"):
		return c.assumeAgency(q, r)
	}
	return malformed(q)
}

// exchangeToken issues keys for a token. The caller needs no other credentials.
func (c *Cloud) exchangeToken(q cloudsim.Call, r authRequest) cloudsim.Answer {
	asked := r.Auth.Identity.Token
	t, why := c.token(cmp.Or(asked.ID, q.Header.Get("X-Auth-Token")))
	if why != "" {
		return q.ServiceError(http.StatusUnauthorized, "The token "+why)
	}
	return c.answerKeys(q, "token_keys", t.owner, asked.Duration)
}

// assumeAgency issues keys of the account that has the agency to a caller of the account that it trusts.
func (c *Cloud) assumeAgency(q cloudsim.Call, r authRequest) cloudsim.Answer {
	caller, refusal := c.authenticate(q)
	if refusal != nil {
		return *refusal
	}
	asked := r.Auth.Identity.AssumeRole
	owner := c.findAccount(named{asked.DomainID, asked.DomainName})
	agencies := c.identitiesOf(owner).Agencies
	i := slices.IndexFunc(agencies, func(a Agency) bool { return a.Name == asked.Agency })
	if i < 0 {
		return q.ServiceError(http.StatusNotFound, "Could not find agency: "+asked.Agency)
	}
	if agencies[i].Trusts != caller {
		return q.ServiceError(http.StatusForbidden, "You are not authorized to assume agency: "+asked.Agency)
	}
	return c.answerKeys(q, "assume_role", owner, asked.Duration)
}

// answerKeys issues temporary keys for a duration in seconds, or for the documented 15 minutes.
func (c *Cloud) answerKeys(q cloudsim.Call, kind, owner string, seconds *int) cloudsim.Answer {
	var stated time.Duration
	if seconds != nil {
		if *seconds < 900 || *seconds > 86400 {
			return q.ServiceError(http.StatusBadRequest, "duration_seconds is out of range")
		}
		stated = time.Duration(*seconds) * time.Second
	}
	return cloudsim.Answer{Status: http.StatusCreated, Body: c.issueKeys(kind, owner, stated, 15*time.Minute).body()}
}
