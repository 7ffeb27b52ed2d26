package credentials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// InstanceMetadata gets temporary keys from the metadata service of the ECS on which the program runs: those of the agency that is assigned to the ECS.
// endpoint is usually http://169.254.169.254.
//
// Source: "Obtaining Metadata" of the ECS User Guide: PUT /meta-data/latest/api/token for a session token if the service has version 2, and
// GET /openstack/latest/securitykey.
func InstanceMetadata(dial huaweicloud.Dial, endpoint string) Source {
	m := metadata{newLocal(dial), strings.TrimSuffix(endpoint, "/")}
	return newTemporary(Status{From: "instance_metadata: " + endpoint}, 2*localTimeout, nil, func(ctx context.Context) (*lease, error) {
		keys, err := m.keys(ctx)
		if err != nil {
			return nil, noMetadata(err)
		}
		return keys, nil
	})
}

type metadata struct {
	local

	endpoint string
}

func (m metadata) keys(ctx context.Context) (*lease, error) {
	session, err := m.session(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := m.issue(ctx, http.MethodGet, m.endpoint+"/openstack/latest/securitykey", &token{"X-Metadata-Token", session}, nil, nil)
	if err != nil {
		return nil, err
	}
	return readKeys(answer)
}

// session gets a session token, which is empty if the service only has version 1. Each fetch uses another one.
func (m metadata) session(ctx context.Context) (secret.Text, error) {
	answer, err := m.issue(ctx, http.MethodPut, m.endpoint+"/meta-data/latest/api/token", &token{}, http.Header{"X-Metadata-Token-Ttl-Seconds": {"21600"}}, nil)
	if e, ok := errors.AsType[*huaweicloud.APIError](err); ok {
		switch e.Status {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable:
			return secret.Text{}, nil
		}
	}
	if err != nil {
		return secret.Text{}, err
	}
	session := strings.TrimSpace(string(answer.Body))
	if session == "" {
		return secret.Text{}, errors.New("the token of the metadata service is empty")
	}
	return secret.New(session), checkKey("the token of the metadata service", session)
}

// noMetadata returns any failure as an absentError: other clouds have a service at the same address, which may respond with anything.
//
// The service has no code for an ECS without an agency, only words. They select one of two remedies, and nothing else depends on them.
func noMetadata(err error) error {
	remedy := "an ECS needs an agency that may read quotas, and elsewhere another kind of credentials must be stated"
	if e, ok := errors.AsType[*huaweicloud.APIError](err); ok && strings.Contains(e.Message, "Please configure Cloud Service Agency first") {
		remedy = "assign an agency to the ECS that may read quotas"
	}
	return newAbsent("instance_metadata: "+huaweicloud.What(err), remedy)
}

const localTimeout = 3 * time.Second // for one request

// local sends requests to services of this machine, the metadata service and pod identity. They are not signed, use no proxy and follow no redirects.
type local struct{ http *http.Client }

func newLocal(dial huaweicloud.Dial) local {
	inTime := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, localTimeout) // the end of the request does not end dialing
		defer cancel()
		return dial(ctx, network, address)
	}
	return local{&http.Client{
		Transport:     &http.Transport{DialContext: inTime, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       localTimeout,
	}}
}

// issue sends a request for keys or a token.
func (l local) issue(ctx context.Context, method, url string, auth *token, header http.Header, body any) (*huaweicloud.Answer, error) {
	c := huaweicloud.Client{HTTP: l.http, Auth: auth, Service: "local", BaseURL: url, Events: func(string, string, time.Duration) {}}
	answer, err := c.Issue(ctx, method, "", header, body)
	if e, ok := errors.AsType[*huaweicloud.TransportError](err); ok { // its remedy is for the APIs of the cloud
		return nil, fmt.Errorf("%s: %w", e.Request, e.Err)
	}
	return answer, err
}
