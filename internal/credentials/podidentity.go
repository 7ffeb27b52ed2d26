package credentials

import (
	"context"
	"fmt"
	"net/http"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

// The variables that CCE sets in a pod that has an identity.
const (
	podURI       = "HC_CONTAINER_CREDENTIALS_FULL_URI"
	podTokenFile = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE" //nolint:gosec // the name of a variable, not a token
)

// PodIdentity gets temporary keys from the agent of CCE's pod identity: POST to the URL in the environment of the pod, authorized by the contents of a
// file that is read each time. Source: Huawei's SDK for Go, core/auth/provider.
func PodIdentity(dial huaweicloud.Dial, getenv func(string) string) Source {
	p := pod{newLocal(dial), getenv(podURI), getenv(podTokenFile)}
	return newTemporary(Status{From: "pod_identity: " + podURI, Files: fileNames(Value{File: p.tokenFile})}, localTimeout, p.token, p.keys)
}

type pod struct {
	local

	uri, tokenFile string
}

func (p pod) token(ctx context.Context) (secret.Text, error) {
	for _, v := range [][2]string{{podURI, p.uri}, {podTokenFile, p.tokenFile}} {
		if v[1] == "" {
			return secret.Text{}, newAbsent("pod_identity: "+v[0]+" is not set",
				"let the pod's service account have an identity in CCE, or state another kind of credentials")
		}
	}
	return readKey(ctx, "pod_identity: "+podTokenFile+" "+p.tokenFile, p.tokenFile)
}

func (p pod) keys(ctx context.Context) (*lease, error) {
	text, err := p.token(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := p.issue(ctx, http.MethodPost, p.uri, &token{"Authorization", text}, nil, object{})
	if err != nil {
		return nil, huaweicloud.Advise(fmt.Errorf("pod_identity: %w", err), "check the identity of the pod's service account in CCE")
	}
	keys, err := readKeys(answer)
	if err != nil {
		return nil, fmt.Errorf("pod_identity: %w", err)
	}
	return keys, nil
}
