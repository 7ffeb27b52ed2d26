package cloudsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Machine is the ECS or the pod on which the client runs.
type Machine struct {
	Account          string // whose temporary keys its agency gives; empty: no agency is assigned
	V1Only           bool   // the metadata service knows no tokens: PUT answers 404
	PodAuthorization string // what pod identity expects in Authorization; empty: it refuses everybody
}

// SetMachine sets on what the client runs; before, that is an ECS without an agency. It panics where there is no such account.
func (c *Cloud) SetMachine(m Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Account != "" {
		c.account(m.Account)
	}
	c.machine = m
}

// maxMetadataTTL is the most that the metadata service gives a token.
const maxMetadataTTL = 6 * time.Hour

// createMetadataToken answers the metadata service's PUT /meta-data/latest/api/token.
func (c *Cloud) createMetadataToken(q call) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machine.V1Only {
		return text(http.StatusNotFound, "404 Not Found")
	}
	seconds, err := strconv.Atoi(q.Header.Get("X-Metadata-Token-Ttl-Seconds"))
	ttl := time.Duration(seconds) * time.Second
	if err != nil || seconds < 1 || ttl > maxMetadataTTL {
		return text(http.StatusBadRequest, "X-Metadata-Token-Ttl-Seconds is missing or out of range")
	}
	c.issued.serial++
	id := c.issued.secret("metadata token", 56)
	c.issued.metadataTokens[id] = time.Now().Add(ttl)
	return text(http.StatusOK, id)
}

// showSecurityKey answers the metadata service's GET /openstack/latest/securitykey.
func (c *Cloud) showSecurityKey(q call) answer {
	owner, allowed := c.agent(func(m Machine) bool {
		return m.V1Only || time.Now().Before(c.issued.metadataTokens[q.Header.Get("X-Metadata-Token")])
	})
	switch {
	case !allowed:
		return text(http.StatusUnauthorized, "401 Unauthorized")
	case owner == nil:
		return text(http.StatusUnauthorized, "401 Unauthorized: Please configure Cloud Service Agency first")
	}
	return answer{status: http.StatusOK, body: c.issueKeys(byMetadata, owner, 0, day).body()}
}

// createPodKeys answers pod identity, which reads nothing from the body but wants one.
func (c *Cloud) createPodKeys(q call) answer {
	var nothing struct{}
	if json.Unmarshal(q.body, &nothing) != nil {
		return gatewayError(q, http.StatusBadRequest, "The request body is invalid")
	}
	owner, allowed := c.agent(func(m Machine) bool {
		return m.PodAuthorization != "" && q.Header.Get("Authorization") == m.PodAuthorization
	})
	switch {
	case !allowed:
		return gatewayError(q, http.StatusUnauthorized, "The authorization token is missing or wrong")
	case owner == nil:
		return gatewayError(q, http.StatusForbidden, "No agency is assigned to the pod")
	}
	k := c.issueKeys(byPodIdentity, owner, 0, day)
	return answer{status: http.StatusOK, body: encode(map[string]any{"credentials": map[string]string{
		"accessKeyId": k.access, "secretAccessKey": k.secret, "securityToken": k.securityToken, "expiration": k.expiry(),
	}})}
}

// agent finds whose keys the machine may have, none without an agency, where its service lets the client in.
func (c *Cloud) agent(allows func(Machine) bool) (owner *account, allowed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !allows(c.machine) {
		return nil, false
	}
	if c.machine.Account == "" {
		return nil, true
	}
	return c.account(c.machine.Account), true
}

func text(status int, body string) answer {
	return answer{status: status, header: http.Header{"Content-Type": {"text/plain"}}, body: []byte(body)}
}
