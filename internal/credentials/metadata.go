package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// InstanceMetadata takes temporary keys from the metadata service of the ECS on which the program runs: those of the agency that is assigned
// to it. endpoint is usually http://169.254.169.254.
//
// Source: "Obtaining Metadata" of the ECS User Guide: PUT /meta-data/latest/api/token for a session's token (version 2), where the service
// knows it, and GET /openstack/latest/securitykey.
func InstanceMetadata(dial huaweicloud.Dial, endpoint string) Source {
	m := metadata{newLocal(dial), strings.TrimSuffix(endpoint, "/")}
	return &temporary{
		expiring: newExpiring(2*localTimeout, m.keys),
		describe: always("instance_metadata: " + endpoint),
		files:    noFiles,
		check:    func(context.Context) error { return nil },
	}
}

type metadata struct {
	local

	endpoint string
}

const sessionSeconds = "21600" // how long the session's token would serve; each fetch takes another

func (m metadata) keys(ctx context.Context) (*lease, error) {
	session, err := m.session(ctx)
	if err != nil {
		return nil, absent(err)
	}
	body, err := m.ask(ctx, http.MethodGet, m.endpoint+"/openstack/latest/securitykey", "", "X-Metadata-Token", session)
	if err != nil {
		return nil, absent(err)
	}
	keys, err := temporaryKeys(body)
	if err != nil {
		return nil, absent(fmt.Errorf("GET %s/openstack/latest/securitykey: %w", m.endpoint, err))
	}
	return keys, nil
}

// session asks for a token of version 2 of the service; it is empty where only version 1 is there.
func (m metadata) session(ctx context.Context) (secret.Text, error) {
	answer, err := m.ask(ctx, http.MethodPut, m.endpoint+"/meta-data/latest/api/token", "", "X-Metadata-Token-Ttl-Seconds", secret.New(sessionSeconds))
	if status, ok := errors.AsType[*statusError](err); ok {
		switch status.status {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable:
			return secret.Text{}, nil
		}
	}
	if err != nil {
		return secret.Text{}, err
	}
	session := strings.TrimSpace(string(answer))
	if session == "" {
		return secret.Text{}, errors.New("the token of the metadata service is empty")
	}
	return secret.New(session), checkKey("the token of the metadata service", session)
}

// absent makes of any failure that this machine has no metadata service of the cloud: other clouds have something at the same address, which
// may answer whatever it likes.
//
// The service has no code for an ECS without an agency, only words. They choose between two remedies, and nothing else depends on them.
func absent(err error) error {
	remedy := "an ECS needs an agency that may read quotas, and elsewhere another kind of credentials must be stated"
	if status, answered := errors.AsType[*statusError](err); answered && strings.Contains(status.text, "Please configure Cloud Service Agency first") {
		remedy = "assign an agency to the ECS that may read quotas"
	}
	return newAbsent("instance_metadata: "+err.Error(), remedy)
}
