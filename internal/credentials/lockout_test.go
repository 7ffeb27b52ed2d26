package credentials_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/credentials"
	"cloud_quota_exporter/internal/huaweicloud"
)

// withPassword runs a test of a source of tokens for a password in a file, in a bubble.
func withPassword(t *testing.T, test func(t *testing.T, w *world, s credentials.Source)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.write("password", "password-1")
		test(t, w, source(t, w.deps, passwordFile(w.dir+"/password")))
	})
}

func (w *world) wantRefusals(t *testing.T, when string, want int) {
	t.Helper()
	if got := int(w.refusals.Load()); got != want {
		t.Errorf("%s: %d logins were rejected, want %d", when, got, want)
	}
}

// TestWrongPasswordIsRarelyTried, because IAM locks users out after too many failures. A wrong password is tried once in 15 minutes, and a corrected
// one at once.
func TestWrongPasswordIsRarelyTried(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.write("password", "wrong")
		w.readFor(t, s, 14*time.Minute)
		w.wantRefusals(t, "in 14 minutes", 1)
		w.wantRead(t, s, "with a wrong password", noKeys)
		w.readFor(t, s, 7*time.Minute)
		w.wantRefusals(t, "in 21 minutes", 2)
		w.write("password", "password-1")
		w.read(t, s)
		w.wantRead(t, s, "as soon as the file is corrected", allRead)
	})
}

// TestChangedPasswordDoesNotLockOut changes the password of a user whose twenty tokens expire at once: IAM locks users out after three failures.
func TestChangedPasswordDoesNotLockOut(t *testing.T) {
	for name, revoked := range map[string]bool{"tokens end with the password": true, "tokens stay valid": false} {
		t.Run(name, func(t *testing.T) {
			withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
				w.wantRead(t, s, "at first", allRead)
				<-time.After(5 * time.Minute)
				w.SetPassword("main", "reader", "password-2")
				if revoked {
					w.Revoke("main")
					w.readFor(t, s, 14*time.Minute)
					w.wantRefusals(t, "in 14 minutes after the change", 1)
				}
				<-time.After(24 * time.Hour)
				before := int(w.refusals.Load())
				w.readFor(t, s, 14*time.Minute)
				w.wantRefusals(t, "in 14 minutes after the tokens have expired", before+1)
				w.write("password", "password-2")
				w.readFor(t, s, 30*time.Second)
				w.wantRead(t, s, "after the file was corrected", allRead)
			})
		})
	}
}

// TestRejectedTokensAreNotRenewedForever: services reject every token.
func TestRejectedTokensAreNotRenewedForever(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.Inject(cloudtest.Fault{Service: "cts", Status: http.StatusUnauthorized})
		w.readFor(t, s, 55*time.Minute)
		if got := w.Issued()["password"]; got > 20+20 { // those at first, and one more each
			t.Errorf("%d tokens in an hour", got)
		}
	})
}

func TestAtMostEightLoginsAtATime(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.Inject(cloudtest.Fault{Path: tokenPath, Latency: time.Second})
		for _, p := range w.Projects() {
			go s.Grant(t.Context(), huaweicloud.Scope{ProjectID: p.ID, Region: "ap-southeast-3"})
		}
		<-time.After(10 * time.Second)
		if got, most := w.Issued()["password"], w.MaxInFlight(); got != 20 || most != 8 {
			t.Errorf("%d tokens, %d requests at a time; want 20, 8 at a time", got, most)
		}
	})
}

// TestThrottledLoginPausesTheOthers counts them.
func TestThrottledLoginPausesTheOthers(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.Inject(cloudtest.Fault{
			Path: tokenPath, When: func(n int) bool { return n > 1 }, Latency: time.Second,
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"600"}},
		})
		w.readFor(t, s, 5*time.Minute)
		if got := w.Requests()["POST "+tokenPath]; got > 1+8 {
			t.Errorf("%d logins within the pause that IAM requested", got)
		}
	})
}

func TestStatusHasTheFirstExpiryOfValidTokens(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		start := time.Now()
		for life, p := range w.Projects()[:2] {
			w.SetLifetime(time.Duration(life+1) * time.Hour)
			if _, err := s.Grant(t.Context(), huaweicloud.Scope{ProjectID: p.ID, Region: "ap-southeast-3"}); err != nil {
				t.Fatal(err)
			}
		}
		for after, want := range []time.Duration{time.Hour, 2 * time.Hour, 2 * time.Hour} { // if all have expired, the last one
			if got := s.Status().Expires.Sub(start); got != want {
				t.Errorf("after %d hours and a minute, the first token expires %s after the start, want %s", after, got, want)
			}
			<-time.After(time.Hour + time.Minute)
		}
	})
}

// TestCorrectedPasswordIsTriedWhileTokensAreValid: the account is up again although no request needs its token.
func TestCorrectedPasswordIsTriedWhileTokensAreValid(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.wantRead(t, s, "at first", allRead)
		grant, err := s.Grant(t.Context(), huaweicloud.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		w.write("password", "wrong")
		s.Reject(grant)
		if _, err := s.Grant(t.Context(), huaweicloud.Scope{}); err != nil {
			t.Error(err)
		}
		wantText(t, s.Status().Err, "401 Unauthorized")
		w.write("password", "password-1")
		w.wantRead(t, s, "after the password was corrected", allRead)
		synctest.Wait()
		if err := s.Status().Err; err != nil {
			t.Error(err)
		}
	})
}

// TestOneLoginOfManyAccounts: ten sources with the same user make one login with a wrong password, and few with ten wrong ones. The right one is
// tried at once.
func TestOneLoginOfManyAccounts(t *testing.T) {
	for name, most := range map[string]int{"one password": 1, "ten passwords": 2} {
		t.Run(name, func(t *testing.T) {
			withPassword(t, func(t *testing.T, w *world, right credentials.Source) {
				w.Inject(cloudtest.Fault{Path: tokenPath, Latency: 10 * time.Millisecond})
				var sources []credentials.Source
				for i := range 10 {
					password := "wrong"
					if most > 1 {
						password += fmt.Sprint(i)
					}
					sources = append(sources, source(t, w.deps, reader("password: "+password)))
				}
				for range 14 * 4 {
					for _, s := range sources {
						go s.Grant(t.Context(), huaweicloud.Scope{})
					}
					<-time.After(15 * time.Second)
				}
				for _, s := range sources {
					if s.Status().Err == nil {
						t.Error("a source with a wrong password has no error")
					}
				}
				w.wantRefusals(t, "in 14 minutes", most)
				w.wantRead(t, right, "with the right password", allRead)
			})
		})
	}
}

// TestCorrectedEndpointIsTriedAtOnce: if an IAM rejects a user, this does not affect the user with the same name in another IAM.
func TestCorrectedEndpointIsTriedAtOnce(t *testing.T) {
	wrong := machine(serve(t, answers{tokens: refuses(http.StatusUnauthorized, "no such user")}))
	right := machine(serve(t, answers{tokens: issues("T", `{"token":{"expires_at":"`+expires+`"}}`)}))
	right.Logins = wrong.Logins
	if _, err := source(t, wrong, reader("password: p")).Grant(t.Context(), huaweicloud.Scope{}); err == nil {
		t.Error("a token of an IAM that rejects the user")
	}
	if _, err := source(t, right, reader("password: p")).Grant(t.Context(), huaweicloud.Scope{}); err != nil {
		t.Errorf("of another IAM: %v", err)
	}
}

// TestLateRejectionCounts: IAM rejects the password after all requests have stopped waiting for the login.
func TestLateRejectionCounts(t *testing.T) {
	withPassword(t, func(t *testing.T, w *world, s credentials.Source) {
		w.write("password", "wrong")
		w.Inject(cloudtest.Fault{Path: tokenPath, Latency: 12 * time.Second})
		w.wantRead(t, s, "at first", noKeys)
		wantText(t, s.Status().Err, " has no response yet: context deadline exceeded; check the network, and endpoints.iam if it is set")
		w.readFor(t, s, 14*time.Minute)
		if got := w.Requests()["POST "+tokenPath]; got != 1 {
			t.Errorf("%d logins in 14 minutes, want 1", got)
		}
		w.wantRefusals(t, "in 14 minutes", 1)
		wantText(t, s.Status().Err, "password: not retried yet: POST http://iam.ap-southeast-3.myhuaweicloud.com/v3/auth/tokens?nocatalog=true: 401 Unauthorized")
	})
}
