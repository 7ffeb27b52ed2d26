package cloudsim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

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

// scope is what a token is good for: a project, the account, or neither.
type scope struct {
	project Project
	domain  bool
}

func readAuth(q call) (r authRequest, ok bool) {
	return r, json.Unmarshal(q.body, &r) == nil
}

// uses tells whether the request is made by that method, and no other.
func (r authRequest) uses(method string) bool {
	return slices.Equal(r.Auth.Identity.Methods, []string{method})
}

func malformed(q call) answer {
	return serviceError(q, http.StatusBadRequest, "The request body is invalid")
}

// createToken answers IAM's POST /v3/auth/tokens.
func (c *Cloud) createToken(q call) answer {
	r, ok := readAuth(q)
	if !ok || !r.uses("password") {
		return malformed(q)
	}
	user := r.Auth.Identity.Password.User
	owner := c.login(user.Domain, User{user.Name, user.Password})
	if owner == nil {
		return serviceError(q, http.StatusUnauthorized, "The username or password is wrong.")
	}
	return c.answerToken(q, byPassword, owner, r, "password", map[string]any{
		"domain": domain(owner), "id": hexID(owner.Name + "/" + user.Name), "name": user.Name, "password_expires_at": "",
	})
}

// createTokenByIDToken answers IAM's POST /v3.0/OS-AUTH/id-token/tokens.
func (c *Cloud) createTokenByIDToken(q call) answer {
	r, ok := readAuth(q)
	if !ok || r.Auth.IDToken.ID == "" {
		return malformed(q)
	}
	provider := q.Header.Get("X-Idp-Id")
	owner := c.federate(IdentityProvider{provider, r.Auth.IDToken.ID})
	if owner == nil {
		return serviceError(q, http.StatusUnauthorized, "The identity provider or its id token is invalid")
	}
	return c.answerToken(q, byIDToken, owner, r, "mapped", map[string]any{
		"domain": domain(owner), "id": hexID(owner.Name + "/" + provider), "name": "FederationUser",
		"OS-FEDERATION": map[string]any{
			"groups": []any{}, "identity_provider": map[string]string{"id": provider}, "protocol": map[string]string{"id": "oidc"},
		},
	})
}

// answerToken issues a token for what the request asks.
func (c *Cloud) answerToken(q call, kind string, owner *account, r authRequest, method string, user map[string]any) answer {
	s, known := c.scope(owner, r)
	if !known {
		return serviceError(q, http.StatusBadRequest, "The project or domain of the scope does not exist")
	}
	region := q.region
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
	return answer{
		status: http.StatusCreated, header: http.Header{"X-Subject-Token": {t.id}}, body: encode(map[string]any{"token": body}),
	}
}

// isRegion tells a region ("eu-de") from the name of a cloud ("myhuaweicloud"), which stands in its place in IAM's global host.
func isRegion(label string) bool { return len(label) > 3 && label[2] == '-' }

func domain(a *account) map[string]string {
	return map[string]string{"id": hexID(a.Name), "name": a.Name}
}

// scope finds what a request names; where it names a project and a domain, the document gives precedence to the project.
func (c *Cloud) scope(owner *account, r authRequest) (s scope, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := r.Auth.Scope
	switch {
	case asked.Project != nil:
		for _, id := range owner.projectIDs {
			if p := c.projects[id].Project; asked.Project.is(id, p.Name) {
				return scope{project: p}, true
			}
		}
		return scope{}, false
	case asked.Domain != nil:
		return scope{domain: true}, asked.Domain.is(hexID(owner.Name), owner.Name)
	}
	return scope{}, true
}

// createKeys answers IAM's POST /v3.0/OS-CREDENTIAL/securitytokens.
func (c *Cloud) createKeys(q call) answer {
	r, ok := readAuth(q)
	switch {
	case ok && r.uses("token"):
		return c.exchangeToken(q, r)
	case ok && r.uses("assume_role"):
		return c.assumeAgency(q, r)
	}
	return malformed(q)
}

// exchangeToken gives keys for a token, which is all the proof that is needed.
func (c *Cloud) exchangeToken(q call, r authRequest) answer {
	asked := r.Auth.Identity.Token
	t, why := c.token(cmp.Or(asked.ID, q.Header.Get("X-Auth-Token")))
	if why != "" {
		return serviceError(q, http.StatusUnauthorized, "The token "+why)
	}
	return c.answerKeys(q, byToken, t.owner, asked.Duration)
}

// assumeAgency gives keys of the account that has the agency to a caller of the account that it trusts.
func (c *Cloud) assumeAgency(q call, r authRequest) answer {
	caller, refused := c.authenticate(q)
	if refused != nil {
		return refused.answer(q)
	}
	asked := r.Auth.Identity.AssumeRole
	owner, agency := c.findAgency(named{asked.DomainID, asked.DomainName}, asked.Agency)
	if owner == nil {
		return serviceError(q, http.StatusNotFound, "Could not find agency: "+asked.Agency)
	}
	if agency.Trusts != caller.Name {
		return serviceError(q, http.StatusForbidden, "You are not authorized to assume agency: "+asked.Agency)
	}
	return c.answerKeys(q, byAgency, owner, asked.Duration)
}

// answerKeys issues temporary keys for a duration in seconds, or for the documents' 15 minutes.
func (c *Cloud) answerKeys(q call, kind string, owner *account, seconds *int) answer {
	var stated time.Duration
	if seconds != nil {
		if *seconds < 900 || *seconds > 86400 {
			return serviceError(q, http.StatusBadRequest, "duration_seconds is out of range")
		}
		stated = time.Duration(*seconds) * time.Second
	}
	return answer{status: http.StatusCreated, body: c.issueKeys(kind, owner, stated, 15*time.Minute).body()}
}

// body is how IAM and the metadata service write keys.
func (k temporaryKeys) body() []byte {
	return encode(map[string]any{"credential": map[string]string{
		"access": k.access, "secret": k.secret, "securitytoken": k.securityToken, "expires_at": k.expiry(),
	}})
}
