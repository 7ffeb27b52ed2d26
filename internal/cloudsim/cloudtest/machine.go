package cloudtest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// Machine is the ECS or the pod on which the client runs.
type Machine struct {
	Account          string // whose temporary keys its agency issues; empty: no agency is assigned
	V1Only           bool   // the metadata service has no tokens: PUT returns 404
	PodAuthorization string // what pod identity expects in Authorization; empty: it rejects all requests
}

// SetMachine sets the machine. By default, it is an ECS without an agency. SetMachine panics if there is no such account.
func (c *Cloud) SetMachine(m Machine) {
	if m.Account != "" {
		c.account(m.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machine = m
}

// machineAPIs are those of the metadata service and of pod identity. The paths are those that Huawei's SDK uses. Pods get the path of pod
// identity from their environment, so that any path would do.
func (c *Cloud) machineAPIs() []cloudsim.API {
	machine := func(string) string { return "" }
	return []cloudsim.API{
		{Service: "metadata", Method: http.MethodPut, Path: "/meta-data/latest/api/token", Host: machine, Answer: c.createMetadataToken},
		{Service: "metadata", Path: "/openstack/latest/securitykey", Host: machine, Answer: c.showSecurityKey},
		{Service: "pod_identity", Method: http.MethodPost, Path: "/pod-identity/credentials", Host: machine, Answer: c.createPodKeys},
	}
}

// createMetadataToken handles the metadata service's PUT /meta-data/latest/api/token.
func (c *Cloud) createMetadataToken(q cloudsim.Call) cloudsim.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machine.V1Only {
		return text(http.StatusNotFound, "404 Not Found")
	}
	seconds, err := strconv.Atoi(q.Header.Get("X-Metadata-Token-Ttl-Seconds"))
	if err != nil || seconds < 1 || seconds > 6*60*60 {
		return text(http.StatusBadRequest, "X-Metadata-Token-Ttl-Seconds is missing or out of range")
	}
	c.issued.serial++
	id := c.issued.secret("metadata token", 56)
	c.issued.metadataTokens[id] = time.Now().Add(time.Duration(seconds) * time.Second)
	return text(http.StatusOK, id)
}

// showSecurityKey handles the metadata service's GET /openstack/latest/securitykey.
func (c *Cloud) showSecurityKey(q cloudsim.Call) cloudsim.Answer {
	owner, allowed := c.agent(func(m Machine) bool {
		return m.V1Only || time.Now().Before(c.issued.metadataTokens[q.Header.Get("X-Metadata-Token")])
	})
	switch {
	case !allowed:
		return text(http.StatusUnauthorized, "401 Unauthorized")
	case owner == "":
		return text(http.StatusUnauthorized, "401 Unauthorized: Please configure Cloud Service Agency first")
	}
	return cloudsim.Answer{Status: http.StatusOK, Body: c.issueKeys("metadata", owner, 0, day).body()}
}

// createPodKeys handles pod identity, which requires a body but does not use it.
func (c *Cloud) createPodKeys(q cloudsim.Call) cloudsim.Answer {
	var nothing struct{}
	if json.Unmarshal(q.Body, &nothing) != nil {
		return q.GatewayError(http.StatusBadRequest, "The request body is invalid")
	}
	owner, allowed := c.agent(func(m Machine) bool {
		return m.PodAuthorization != "" && q.Header.Get("Authorization") == m.PodAuthorization
	})
	switch {
	case !allowed:
		return q.GatewayError(http.StatusUnauthorized, "The authorization token is missing or wrong")
	case owner == "":
		return q.GatewayError(http.StatusForbidden, "No agency is assigned to the pod")
	}
	k := c.issueKeys("pod_identity", owner, 0, day)
	return cloudsim.Answer{Status: http.StatusOK, Body: cloudsim.JSON(map[string]any{"credentials": map[string]string{
		"accessKeyId": k.access, "secretAccessKey": k.secret, "securityToken": k.securityToken, "expiration": k.expiry(),
	}})}
}

// agent returns the account of the machine's agency, "" without an agency, and whether the machine allows the request.
func (c *Cloud) agent(allows func(Machine) bool) (owner string, allowed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.Account, allows(c.machine)
}

func text(status int, body string) cloudsim.Answer {
	return cloudsim.Answer{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(body)}
}
