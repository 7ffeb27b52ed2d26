package cloudsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

func TestFaultReplacesTheAnswer(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	heal := c.Inject(cloudsim.Fault{
		Service: "dcs", ProjectID: idA, Path: paths["dcs"],
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
		Body: cloudsim.ErrorBody("", http.StatusTooManyRequests, "policy user over ratelimit,limit:200,time:5 minute"),
	})
	defer c.Inject(cloudsim.Fault{Service: "dcs", ProjectID: idA, Status: http.StatusTeapot})() // comes second
	got := keys{}.get(t, client, "localhost"+of(paths["dcs"], idA))
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "7" ||
		got.header.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || got.header.Get("X-Request-Id") == "" {
		t.Errorf("status %d, headers %v, want the fault's, before signatures", got.status, got.header)
	}
	for _, place := range []string{of(paths["dcs"], idB), of(paths["ces"], idA), "/v3/projects"} {
		if got := mainKeys.get(t, client, "localhost"+place); got.status != http.StatusOK {
			t.Errorf("%s: status %d, want no fault", place, got.status)
		}
	}
	heal()
	heal()
	if got := mainKeys.get(t, client, "localhost"+of(paths["dcs"], idA)); got.status != http.StatusTeapot {
		t.Errorf("status %d after the first fault was healed, want the second's", got.status)
	}
}

func TestFaultThatDependsOnTheNumber(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.Inject(cloudsim.Fault{Service: "iam", When: func(n int) bool { return n == 2 }, Status: http.StatusBadGateway})
	c.Inject(cloudsim.Fault{Path: "/v3/projects", When: func(n int) bool { return n >= 4 }, Status: http.StatusGatewayTimeout})
	for i, want := range []int{200, 502, 200, 504, 504} {
		if got := mainKeys.get(t, client, "localhost/v3/projects"); got.status != want {
			t.Errorf("request %d: status %d, want %d", i+1, got.status, want)
		}
		mainKeys.get(t, client, "localhost"+of(paths["ces"], idA)) // fits neither
	}
	defer c.Inject(cloudsim.Fault{Status: http.StatusInternalServerError})()
	if got := mainKeys.get(t, client, "localhost/nothing"); got.status != http.StatusInternalServerError {
		t.Errorf("status %d, want a fault for any request at any path", got.status)
	}
}

func TestFaultsThatTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		client := dial(t, c)
		place := "http://localhost" + of(paths["dcs"], idA)
		heal := c.Inject(cloudsim.Fault{Latency: 3 * time.Second})
		start := time.Now()
		got := do(t, client, mainKeys.sign(newRequest(t, http.MethodGet, place, ""), "", start))
		if took := time.Since(start); got.body != documented["dcs"] || took != 3*time.Second {
			t.Errorf("answer %q after %v, want the usual one after 3s", got.body, took)
		}
		for name, f := range map[string]cloudsim.Fault{"latency": {Latency: time.Hour}, "hang": {Hang: true}} {
			heal()
			heal = c.Inject(f)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			r := newRequest(t, http.MethodGet, place, "").WithContext(ctx)
			start := time.Now()
			answer, err := client.Do(r)
			if err == nil {
				_ = answer.Body.Close()
			}
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
				t.Errorf("%s: error %v after %v, want the client's deadline", name, err, took)
			}
			cancel()
			// The handler goes when its client does, or else this bubble would never end.
			synctest.Wait()
		}
	})
}

func TestHangEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.Inject(cloudsim.Fault{Hang: true})
		pipe := cloudsim.NewPipe()
		server := cloudsim.ServePlain(c, pipe)
		client := &http.Client{Transport: &http.Transport{DialContext: pipe.Dial}}
		failed := make(chan error)
		go func() {
			answer, err := client.Do(newRequest(t, http.MethodGet, "http://localhost/v3/projects", ""))
			if err == nil {
				_ = answer.Body.Close()
			}
			failed <- err
		}()
		synctest.Wait()
		server.Close()
		if err := <-failed; err == nil {
			t.Error("got an answer from a server that was closed")
		}
	})
}

func TestCutBody(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.Inject(cloudsim.Fault{CutBody: true})
	r := newRequest(t, http.MethodGet, "http://localhost"+of(paths["dcs"], idA), "")
	answer, err := client.Do(mainKeys.sign(r, "", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	want := documented["dcs"]
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != want[:len(want)/2] || answer.ContentLength != int64(len(want)) {
		t.Errorf("error %v, %d of %d bytes, want half of %d", err, len(body), answer.ContentLength, len(want))
	}
}

func TestReset(t *testing.T) {
	c := newCloud()
	client := dial(t, c)
	c.Inject(cloudsim.Fault{Reset: true})
	answer, err := client.Do(newRequest(t, http.MethodGet, "http://localhost/v3/projects", ""))
	if err == nil {
		_ = answer.Body.Close()
		t.Fatalf("status %d, want a connection that was closed", answer.StatusCode)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want EOF", err)
	}
}

func TestBodyBeyondAllMeasureIsCut(t *testing.T) {
	client := dial(t, newCloud())
	big := make([]byte, 2<<20)
	answer, err := client.Do(newRequest(t, http.MethodGet, "http://localhost/v3/projects", string(big)))
	if err == nil {
		_ = answer.Body.Close()
		t.Errorf("status %d, want a connection that was closed", answer.StatusCode)
	}
}
