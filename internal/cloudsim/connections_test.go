package cloudsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

// connect returns what asks for a host over TLS, each time by a connection of its own.
func connect(t *testing.T, c *cloudsim.Cloud) (ask func(host string) error) {
	t.Helper()
	pipe := cloudsim.NewPipe()
	server := cloudsim.Serve(c, pipe)
	t.Cleanup(server.Close)
	client := trusting(t, server, c.Dialer(pipe.Dial))
	return func(host string) error {
		r := newRequest(t, http.MethodGet, "https://"+host+"/v3/projects", "")
		r.Close = true
		answer, err := client.Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
}

func TestDialFaults(t *testing.T) {
	c := newCloud()
	ask := connect(t, c)
	heal := c.Inject(cloudsim.Fault{Host: "dcs.", Dial: syscall.ECONNREFUSED, When: func(n int) bool { return n != 2 }})
	if err := ask("dcs.ap-southeast-3" + cloud); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want connection refused", err)
	}
	for _, host := range []string{"dcs.eu-de" + cloud, "ces.ap-southeast-3" + cloud} { // the second connection to dcs, and one to elsewhere
		if err := ask(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	heal()
	if err := ask("dcs.ap-southeast-3" + cloud); err != nil {
		t.Errorf("healed: %v", err)
	}
}

func TestCertificateFaults(t *testing.T) {
	c := newCloud()
	ask := connect(t, c)
	const host = "dcs.ap-southeast-3" + cloud
	for _, wrong := range []struct {
		certificate cloudsim.Certificate
		says        string
	}{
		{cloudsim.Expired, "certificate has expired or is not yet valid"},
		{cloudsim.OfAnotherHost, "certificate is valid for another-host.example.com, not " + host},
	} {
		heal := c.Inject(cloudsim.Fault{Host: "dcs.ap-southeast-3.", Certificate: wrong.certificate})
		if err := ask(host); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%s: got %v, want %q", wrong.certificate, err, wrong.says)
		}
		if err := ask("dcs.eu-de" + cloud); err != nil {
			t.Errorf("another host: %v", err)
		}
		heal()
		if err := ask(host); err != nil {
			t.Errorf("healed: %v", err)
		}
	}
}

func TestFaultsOfConnectionsLeaveRequestsAlone(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.Inject(cloudsim.Fault{Dial: syscall.ECONNREFUSED, Status: http.StatusTeapot})
	c.Inject(cloudsim.Fault{Host: "dcs.eu-de.", Status: http.StatusTeapot})
	for host, want := range map[string]int{"localhost": http.StatusOK, "iam" + cloud: http.StatusOK, "dcs.eu-de" + cloud: http.StatusTeapot} {
		if got := mainKeys.get(t, client, host+"/v3/projects"); got.status != want {
			t.Errorf("%s: status %d, want %d", host, got.status, want)
		}
	}
}

func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		client := dial(t, c)
		c.Inject(cloudsim.Fault{Drip: time.Second})
		place := "http://localhost" + of(paths["dcs"], idA)
		start := time.Now()
		got := do(t, client, mainKeys.sign(newRequest(t, http.MethodGet, place, ""), "", start))
		if took := time.Since(start); got.body != documented["dcs"] || took != time.Duration(len(got.body))*time.Second {
			t.Errorf("answer %q after %v, want the usual one by a byte a second", got.body, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+time.Second/2)
		defer cancel()
		answer, err := client.Do(mainKeys.sign(newRequest(t, http.MethodGet, place, ""), "", time.Now()).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if body, err := io.ReadAll(answer.Body); len(body) != 5 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d bytes until %v, want 5 until the client's deadline", len(body), err)
		}
	})
}
