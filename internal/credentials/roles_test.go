package credentials_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// roles is an IAM like Keystone: it responds with 401, as for a wrong password, if the user has no role on what a token is requested for.
type roles struct {
	http.RoundTripper

	refused []string // parts of the bodies of rejected requests
}

func (r *roles) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPost {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		for _, part := range r.refused {
			if strings.Contains(string(body), part) {
				return &http.Response{
					StatusCode: http.StatusUnauthorized, Header: http.Header{}, Request: req,
					Body: io.NopCloser(strings.NewReader(`{"error":{"code":401,"message":"The request you have made requires authentication."}}`)),
				}, nil
			}
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r.RoundTripper.RoundTrip(req)
}

var firstProject = huaweicloud.Scope{ProjectID: "00000000000000000000000000000000", Region: "ap-southeast-3"}

const ofAccount, ofFirstProject = `"scope":{"domain"`, `"scope":{"project":{"id":"00000000000000000000000000000000"}}`

func withRoles(t *testing.T, refused []string, test func(t *testing.T, w *world, s credentials.Source)) {
	t.Helper()
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.http.Transport = &roles{w.http.Transport, refused}
		test(t, w, s)
	})
}

// TestUserWithoutARole fetches for more than a day with the password of a user without a role on the account, which some requests need. Tokens of
// projects are always available, and few logins are rejected.
func TestUserWithoutARole(t *testing.T) {
	withRoles(t, []string{ofAccount}, func(t *testing.T, w *world, s credentials.Source) {
		if _, err := s.Grant(t.Context(), firstProject); err != nil {
			t.Error(err)
		}
		<-time.After(time.Second)
		_, err := s.Grant(t.Context(), huaweicloud.Scope{})
		wantText(t, err, "; grant the user a role on the account (not needed for projects with an id): the password is correct")
		<-time.After(time.Second)
		w.wantRead(t, s, "after a rejection because of a missing role", allRead)
		for end := time.Now().Add(26 * time.Hour); time.Now().Before(end); {
			_, err := s.Grant(t.Context(), huaweicloud.Scope{})
			wantText(t, err, "; grant the user a role on the account (not needed for projects with an id): the password is correct")
			w.wantRead(t, s, "later", allRead)
			<-time.After(10 * time.Minute)
		}
		if got := w.refusals.Load(); got > 26*4+1 {
			t.Errorf("%d logins were rejected in 26 hours, want one in 15 minutes", got)
		}
	})
}

// TestRoleIsMissingAtFirst: the first login is rejected, possibly because of the password. After the pause, other logins prove it.
func TestRoleIsMissingAtFirst(t *testing.T) {
	for _, tc := range []struct {
		refused string
		scope   huaweicloud.Scope
		then    string
	}{
		{ofAccount, huaweicloud.Scope{}, allRead}, {ofFirstProject, firstProject, "map[credentials:1 ok:19]"},
	} {
		withRoles(t, []string{tc.refused}, func(t *testing.T, w *world, s credentials.Source) {
			if _, err := s.Grant(t.Context(), tc.scope); huaweicloud.Reason(err) != huaweicloud.ReasonUnauthorized {
				t.Errorf("got %v", err)
			}
			for end := time.Now().Add(14 * time.Minute); time.Now().Before(end); {
				_, _ = s.Grant(t.Context(), tc.scope)
				w.wantRead(t, s, "while it might be the password", noKeys)
				<-time.After(15 * time.Second)
			}
			w.wantRefusals(t, "in 14 minutes", 1)
			<-time.After(time.Minute)
			for range 26 * 6 {
				go s.Grant(t.Context(), tc.scope)
				w.wantRead(t, s, "after 15 minutes", tc.then)
				<-time.After(10 * time.Minute)
			}
		})
	}
}

// TestNoTokenOfTheAccount: if all requests are about projects, the user needs no role on the account.
func TestNoTokenOfTheAccount(t *testing.T) {
	withRoles(t, []string{ofAccount}, func(t *testing.T, w *world, s credentials.Source) {
		w.wantRead(t, s, "at first", allRead)
		<-time.After(25 * time.Hour)
		w.wantRead(t, s, "when the tokens have expired", allRead)
		w.wantRefusals(t, "in a day", 0)
	})
}

// TestWrongPasswordOfAllScopes: however many scopes exist, one login is rejected in 15 minutes.
func TestWrongPasswordOfAllScopes(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.write("password", "wrong")
		for end := time.Now().Add(14 * time.Minute); time.Now().Before(end); {
			go s.Grant(t.Context(), huaweicloud.Scope{})
			w.wantRead(t, s, "with a wrong password", noKeys)
			<-time.After(15 * time.Second)
		}
		w.wantRefusals(t, "in 14 minutes", 1)
		synctest.Wait()
		wantText(t, s.Status().Err, "401 Unauthorized")
	})
}
