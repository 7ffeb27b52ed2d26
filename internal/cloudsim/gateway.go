package cloudsim

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// maxBody is far more than any request to these APIs carries.
const maxBody = 1 << 20

// answer is what goes back to the client.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP answers as the cloud's gateway and the services behind it would. It panics with http.ErrAbortHandler where a fault wants
// the connection to be closed.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, candidates := c.receive(r)
	defer c.leave()
	// Read before anything else: net/http notices that a client went away only once the body was read.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.body = body
	f := choose(candidates)
	f.strike(r.Context())
	a := answer{f.Status, f.Header, f.Body}
	if f.Status == 0 {
		a = c.answer(q)
	}
	if a.status == http.StatusSwitchingProtocols {
		switchProtocols(w)
		return
	}
	write(r.Context(), w, q, a, f)
}

// answer takes a request through the checks of the gateway, in its order, and on to the API.
func (c *Cloud) answer(q call) answer {
	owner := c.lookUp(&q)
	if q.api == nil || !q.published {
		return notPublished(q)
	}
	if q.Method != q.api.method {
		a := gatewayError(q, http.StatusMethodNotAllowed, "The API does not support the method "+q.Method)
		a.header = http.Header{"Allow": {q.api.method}}
		return a
	}
	if q.api.open {
		return q.api.answer(c, q)
	}
	caller, refused := c.authenticate(q)
	if refused != nil {
		return refused.answer(q)
	}
	if q.elsewhere() {
		return notPublished(q)
	}
	if q.projectID != "" || q.api.byHeader {
		stated := q.Header.Get("X-Project-Id")
		if owner != caller || (stated != "" && stated != q.projectID) {
			return serviceError(q, http.StatusForbidden, q.api.denied)
		}
	}
	q.caller = caller
	return q.api.answer(c, q)
}

// lookUp gives the call its project, and returns who owns it.
func (c *Cloud) lookUp(q *call) (owner *account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.projects[q.projectID]
	q.project = p.Project
	return p.owner
}

// write sends an answer. Of a fault, it cuts the body in half under the length of the whole, or sends it byte by byte.
func write(client context.Context, w http.ResponseWriter, q call, a answer, f Fault) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("X-Request-Id", q.id)
	if q.api != nil && q.api.service == "iam" {
		header.Set("X-IAM-Trace-Id", q.id)
	}
	maps.Copy(header, a.header)
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	switch {
	case f.Drip > 0:
		drip(client, w, a.body, f.Drip)
	case f.CutBody:
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(a.body) // the client may have gone away, which is its affair
	}
}

// switchProtocols answers with a 101 and keeps the connection open, as long as the client does, without another byte.
func switchProtocols(w http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: none\r\n\r\n")
	_ = buffered.Flush()
	_, _ = io.Copy(io.Discard, conn)
}

// drip sends a byte at a time, until the client goes away.
func drip(client context.Context, w http.ResponseWriter, body []byte, pause time.Duration) {
	for i := range body {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(pause):
		case <-client.Done():
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body[i : i+1])
	}
}

func notPublished(q call) answer {
	return gatewayError(q, http.StatusNotFound, "The API does not exist or has not been published in the environment")
}

func gatewayError(q call, status int, message string) answer {
	return answer{status: status, body: gatewayBody(gatewayCode(status), message, q.id)}
}

func serviceError(q call, status int, message string) answer {
	return answer{status: status, body: ErrorBody(q.api.service, status, message)}
}
