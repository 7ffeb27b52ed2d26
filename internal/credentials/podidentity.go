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

// PodIdentity takes temporary keys from the agent of CCE's pod identity: POST to the URL that the pod's environment names, authorised by the
// contents of the file that it names, which is read anew each time. Source: Huawei's SDK for Go, core/auth/provider.
func PodIdentity(dial huaweicloud.Dial, getenv func(string) string) Source {
	p := pod{newLocal(dial), getenv}
	return &temporary{
		expiring: newExpiring(localTimeout, p.keys).provenBy(fingerprint(p.token)),
		describe: always("pod_identity: " + podURI),
		files:    func() []string { return fileNames(Value{File: getenv(podTokenFile)}) },
		check: func(ctx context.Context) error {
			_, err := p.token(ctx)
			return err
		},
	}
}

type pod struct {
	local

	getenv func(string) string
}

// token reads what authorises the pod.
func (p pod) token(ctx context.Context) (secret.Text, error) {
	for _, name := range []string{podURI, podTokenFile} {
		if p.getenv(name) == "" {
			return secret.Text{}, newAbsent("pod_identity: "+name+" is not set",
				"let the pod's service account have an identity in CCE, or state another kind of credentials")
		}
	}
	file := p.getenv(podTokenFile)
	return readSecret(ctx, "pod_identity: "+podTokenFile+" "+file, file)
}

func (p pod) keys(ctx context.Context) (*lease, error) {
	token, err := p.token(ctx)
	if err != nil {
		return nil, err
	}
	body, err := p.ask(ctx, http.MethodPost, p.getenv(podURI), "{}", "Authorization", token)
	if err != nil {
		return nil, huaweicloud.Advise(fmt.Errorf("pod_identity: %w", err), "check the identity of the pod's service account in CCE")
	}
	keys, err := temporaryKeys(body)
	if err != nil {
		return nil, fmt.Errorf("pod_identity: POST %s: %w", p.getenv(podURI), err)
	}
	return keys, nil
}
