package credentials_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/files/filestest"
	"cloud_quota_exporter/internal/huaweicloud"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestFilesThatHang: nothing that is asked of a source waits longer than it may, and what says nothing of the contents does not wait at all.
func TestFilesThatHang(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "[basic]\nak = a\nsk = s\n")
	hanging := filestest.Hang(t, file)
	profile := func(env ...string) credentials.Source { return credentials.Profile(environ(env...), "", "") }
	named := profile("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
	for name, source := range map[string]credentials.Source{
		"static":       credentials.Static(text("ak"), credentials.Value{File: file}, credentials.Value{}),
		"profile":      named,
		"pod_identity": credentials.PodIdentity(dial, environ("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)),
		"oidc":         credentials.OIDC(iam("http://127.0.0.1:1"), "", "idp", file),
		"password":     credentials.Password(iam("http://127.0.0.1:1"), "", credentials.User{Password: credentials.Value{File: file}}, credentials.NewLogins()),
		"chain":        credentials.Chain(credentials.Environment(environ()), named),
		"assume_agency": credentials.AssumeAgency(credentials.Static(text("ak"), credentials.Value{File: file}, credentials.Value{}), iam("http://127.0.0.1:1"), "",
			credentials.Agency{}),
	} {
		start := time.Now()
		if err := source.Check(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response from the file system") {
			t.Errorf("%s: checked, %v", name, err)
		}
		if grant, err := source.Grant(within(t, 50*time.Millisecond), huaweicloud.Scope{}); grant != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: granted %v, %v", name, grant, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
		start = time.Now()
		if got := source.Status().From; got == "" || len(source.Status().Files) != 1 || source.Status().Files[0] != file || time.Since(start) > 2*time.Second {
			t.Errorf("%s: described as %q with files %v after %s", name, got, source.Status().Files, time.Since(start))
		}
	}
	hanging.Release()
	if got, err := reveal(t, named); got != "a s " || err != nil {
		t.Errorf("released: %s, %v", got, err)
	}
}

// TestProfileThatNobodyNamedHangs: as one that isn't there, it leaves the chain to the next source.
func TestProfileThatNobodyNamedHangs(t *testing.T) {
	home := t.TempDir()
	makeDir(t, filepath.Join(home, ".huaweicloud"))
	file := filepath.Join(home, ".huaweicloud", "credentials")
	write(t, file, "[basic]\nak = a\nsk = s\n")
	filestest.Hang(t, file)
	chain := credentials.Chain(credentials.Profile(environ("HOME", home), "", ""), credentials.Environment(environ("HW_ACCESS_KEY", "A", "HW_SECRET_KEY", "S")))
	if err := chain.Check(within(t, 100*time.Millisecond)); err != nil {
		t.Errorf("checked, %v", err)
	}
	if got := chain.Status().From; got != "default chain: environment: HW_ACCESS_KEY, HW_SECRET_KEY" {
		t.Errorf("described as %s", got)
	}
}

// TestPasswordFileThatHangsHoldsNobody: while a refused password is looked at again, the rest of the source is not locked.
func TestPasswordFileThatHangsHoldsNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "wrong")
	url := serve(t, map[string]http.HandlerFunc{"POST /v3/auth/tokens": refuses(http.StatusUnauthorized, "no")})
	p := credentials.Password(iam(url), "", credentials.User{DomainName: "main", Name: "reader", Password: credentials.Value{File: file}}, credentials.NewLogins())
	if _, err := p.Grant(t.Context(), huaweicloud.Scope{}); huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
		t.Fatalf("got %v", err)
	}
	hanging := filestest.Hang(t, file)
	granted := make(chan error)
	go func() {
		_, err := p.Grant(t.Context(), huaweicloud.Scope{})
		granted <- err
	}()
	hanging.WaitForReader(t)
	others := make(chan struct{})
	go func() {
		defer close(others)
		p.Status()
		p.Reject(nil)
	}()
	select {
	case <-others:
	case <-granted:
		t.Fatal("others waited for the file")
	}
	hanging.Release()
	if err := <-granted; huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
		t.Errorf("got %v", err)
	}
}
