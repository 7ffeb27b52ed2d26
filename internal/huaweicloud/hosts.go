package huaweicloud

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Hosts limits the concurrent requests to each host. Further requests wait in order of arrival. Its methods are safe for concurrent
// use; a nil Hosts sets no limit.
type Hosts struct {
	limit int

	mu    sync.Mutex
	hosts map[string]*hostSlots // hosts with requests
}

// hostSlots are the slots of a host.
type hostSlots struct {
	slots chan struct{}
	users int // in flight or waiting
}

// NewHosts returns a Hosts that allows limit concurrent requests to each host.
func NewHosts(limit int) *Hosts { return &Hosts{limit: limit, hosts: map[string]*hostSlots{}} }

// BusyError means that a request waits because all slots of the host are in use by the account.
type BusyError struct {
	Host  string
	Limit int
	err   error // of the context, if it ended first
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("request not sent yet: the account has reached its limit of concurrent requests to %s, %d", e.Host, e.Limit) + ending(e.Remedy())
}

func (e *BusyError) Unwrap() error { return e.err }

// NotBegun returns true: the request will wait in line again.
func (e *BusyError) NotBegun() bool { return true }

// Remedy is always the same.
func (e *BusyError) Remedy() string {
	return "increase max_in_flight_per_host of the account if the host can handle more concurrent requests"
}

// enter waits for a slot of a host. The wait does not count toward the timeout of the fetch. The error is a *BusyError if ctx ends
// first.
func (h *Hosts) enter(ctx context.Context, host string, suspend func(context.Context, error) func()) (leave func(), err error) {
	if h == nil {
		return func() {}, nil
	}
	host = strings.ToLower(host)
	s := h.use(host)
	leave = func() {
		<-s.slots
		h.unuse(host, s)
	}
	select {
	case s.slots <- struct{}{}:
		return leave, nil
	default:
	}
	busy := &BusyError{Host: host, Limit: h.limit}
	defer suspend(ctx, busy)()
	select {
	case s.slots <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		h.unuse(host, s)
		return nil, &BusyError{host, h.limit, ctx.Err()}
	}
}

// use returns the slots of a host, which are kept until unuse.
func (h *Hosts) use(host string) *hostSlots {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.hosts[host]
	if s == nil {
		s = &hostSlots{slots: make(chan struct{}, h.limit)}
		h.hosts[host] = s
	}
	s.users++
	return s
}

func (h *Hosts) unuse(host string, s *hostSlots) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(h.hosts, host)
	}
}
