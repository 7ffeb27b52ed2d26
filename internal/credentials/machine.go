package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/files"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const localTimeout = 3 * time.Second // for one request

// newLocal returns a client for a service of this machine: the metadata service or pod identity. It uses no proxy, and does not
// follow redirects.
func newLocal(dial huaweicloud.Dial, url string) huaweicloud.Client {
	inTime := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, localTimeout) // the end of the request does not end dialing
		defer cancel()
		return dial(ctx, network, address)
	}
	return huaweicloud.Client{
		HTTP: &http.Client{
			Transport:     &http.Transport{DialContext: inTime, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       localTimeout,
		},
		BaseURL: url,
		Events:  func(string, string, time.Duration) {},
	}
}

// newInstanceMetadata gets temporary keys from the metadata service of the ECS on which the program runs: those of the agency
// assigned to the ECS.
//
// Source: "Obtaining Metadata" of the ECS User Guide: PUT /meta-data/latest/api/token for a session token if the service has version 2, and
// GET /openstack/latest/securitykey.
func newInstanceMetadata(d Deps, c config.InstanceMetadata) *temporary {
	endpoint := cmp.Or(c.Endpoint, "http://169.254.169.254")
	service := newLocal(d.Dial, endpoint)
	noProof := func(context.Context) (secret.Text, error) { return secret.Text{}, nil }
	var hadKeys atomic.Bool
	return newTemporary(Status{From: "instance_metadata: " + endpoint}, 2*localTimeout, noProof, func(ctx context.Context, _ secret.Text) (*lease, error) {
		keys, err := metadataKeys(ctx, service)
		if err != nil {
			return nil, newAbsent("instance_metadata: "+huaweicloud.What(err), metadataRemedy(err, hadKeys.Load()))
		}
		hadKeys.Store(true)
		return keys, nil
	})
}

func metadataKeys(ctx context.Context, service huaweicloud.Client) (*lease, error) {
	session, err := metadataSession(ctx, service)
	if err != nil {
		return nil, err
	}
	service.Auth = &token{"X-Metadata-Token", session}
	answer, err := service.Issue(ctx, http.MethodGet, "/openstack/latest/securitykey", nil, nil)
	if err != nil {
		return nil, err
	}
	return readKeys(answer)
}

// metadataSession gets a session token for one fetch; it is empty if the service only has version 1.
func metadataSession(ctx context.Context, service huaweicloud.Client) (secret.Text, error) {
	service.Auth = &token{}
	answer, err := service.Issue(ctx, http.MethodPut, "/meta-data/latest/api/token", http.Header{"X-Metadata-Token-Ttl-Seconds": {"21600"}}, nil)
	versionOne := []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable}
	if e, ok := errors.AsType[*huaweicloud.APIError](err); ok && slices.Contains(versionOne, e.Status) {
		return secret.Text{}, nil
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

// metadataRemedy returns the remedy for an error of the metadata service. Any failure is an absentError, because other clouds have a
// service at the same address, which may respond with anything.
//
// The service has no error code for an ECS without an agency, only a text, which only selects a remedy.
func metadataRemedy(err error, hadKeys bool) string {
	api, isAPI := errors.AsType[*huaweicloud.APIError](err)
	_, isTransport := errors.AsType[*huaweicloud.TransportError](err)
	switch {
	case isAPI && !hadKeys && strings.Contains(api.Message, "Please configure Cloud Service Agency first"):
		return "assign an agency with permission to read quotas to the ECS"
	case isAPI && (api.Status >= http.StatusInternalServerError || api.Status == http.StatusTooManyRequests):
		return "the failure is on the metadata service's side, and the exporter will retry"
	case hadKeys && (isAPI || isTransport):
		return "check what has changed on this ECS (the metadata service returned keys before, and the exporter will retry)"
	case isAPI || isTransport:
		return "configure another kind of credentials, unless this is an ECS with a failing metadata service"
	default:
		return cmp.Or(huaweicloud.Remedy(err), "check what responds at this address (it may not be the metadata service)")
	}
}

// The variables that CCE sets in a pod with a pod identity.
const (
	podURI       = "HC_CONTAINER_CREDENTIALS_FULL_URI"
	podTokenFile = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE" //nolint:gosec // the name of a variable, not a token
)

// newPodIdentity gets temporary keys from the agent of CCE's pod identity: POST to the URL in the pod's environment, authorized by
// the contents of a file that is read each time. Source: Huawei's SDK for Go, core/auth/provider.
func newPodIdentity(d Deps) *temporary {
	service, file := newLocal(d.Dial, d.Getenv(podURI)), d.Getenv(podTokenFile)
	authorization := files.Keep(func(ctx context.Context) (secret.Text, error) {
		for _, name := range []string{podURI, podTokenFile} {
			if d.Getenv(name) == "" {
				return secret.Text{}, newAbsent("pod_identity: "+name+" is not set",
					"associate the pod's service account with an identity in CCE, or configure another kind of credentials")
			}
		}
		return readKey(ctx, "pod_identity: "+podTokenFile+" "+file, file)
	})
	return newTemporary(Status{From: "pod_identity: " + podURI, Files: fileNames(file)}, localTimeout, authorization,
		func(ctx context.Context, text secret.Text) (*lease, error) {
			keys, err := podKeys(ctx, service, text)
			if err != nil {
				return nil, fmt.Errorf("pod_identity: %w", err)
			}
			return keys, nil
		})
}

func podKeys(ctx context.Context, service huaweicloud.Client, authorization secret.Text) (*lease, error) {
	service.Auth = &token{"Authorization", authorization}
	answer, err := service.Issue(ctx, http.MethodPost, "", nil, object{})
	if err != nil {
		remedy := "check the identity of the pod's service account in CCE"
		if api, ok := errors.AsType[*huaweicloud.APIError](err); !ok || api.Status >= http.StatusInternalServerError || api.Status == http.StatusTooManyRequests {
			remedy = "the failure is on the side of CCE's agent on this node, and the exporter will retry"
		}
		return nil, huaweicloud.Advise(err, remedy)
	}
	return readKeys(answer)
}
