package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/secret"
)

const (
	localTimeout = 3 * time.Second // of one request on this machine or next to it
	maxAnswer    = 64 << 10        // bytes
)

// local asks services that belong to this machine: the metadata service and pod identity. They are no APIs of the cloud: nothing is signed,
// no proxy stands between, and redirects are refused.
type local struct{ http *http.Client }

func newLocal(dial huaweicloud.Dial) local {
	inTime := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, localTimeout) // the request's own end does not end the dialling
		defer cancel()
		return dial(ctx, network, address)
	}
	return local{&http.Client{
		Transport:     &http.Transport{DialContext: inTime, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       localTimeout,
	}}
}

// statusError is an answer other than 2xx.
type statusError struct {
	request string // method and URL
	status  int
	text    string // one line
}

// Error says what came back.
func (e *statusError) Error() string {
	said := fmt.Sprintf("%s: %d %s", e.request, e.status, http.StatusText(e.status))
	if e.text != "" {
		said += ": " + e.text
	}
	return said
}

// ask sends a request and returns the body of a 2xx; the value of its header is a secret. Other answers are a *statusError.
func (l local) ask(ctx context.Context, method, url, body, header string, value secret.Text) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if !value.IsEmpty() {
		req.Header.Set(header, value.Reveal())
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	hide := func(text string) string { return secret.Hide(text, value) }
	resp, err := l.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*neturl.Error](err); ok { // it quotes the URL
			err = wrapped.Err
		}
		quiet := func(text string) string { return huaweicloud.OneLine(secret.HideQuoted(hide(text))) }
		return nil, fmt.Errorf("%s %s: %w", method, url, secret.Quiet(err, quiet))
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK { // the body of "101 Switching Protocols" is the connection, which no context ends
		return nil, &statusError{method + " " + url, resp.StatusCode, ""}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 != 2 {
		return nil, &statusError{method + " " + url, resp.StatusCode, huaweicloud.OneLine(hide(string(answer)))}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer broke off: %w", method, url, err)
	}
	return answer, nil
}
