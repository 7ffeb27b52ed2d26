package huaweicloud

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Hosts bounds the requests in flight to each host. Requests beyond that wait, and get their turn in the order in which they came. Its methods are safe
// for concurrent use; a nil Hosts bounds nothing.
type Hosts struct {
	limit int

	mu    sync.Mutex
	hosts map[string]*hostSlots // those with requests
}

// hostSlots are the slots of a host.
type hostSlots struct {
	slots chan struct{}
	users int // in flight or waiting
}

// NewHosts returns a Hosts that lets so many requests to a host be in flight at a time.
func NewHosts(limit int) *Hosts { return &Hosts{limit: limit, hosts: map[string]*hostSlots{}} }

// BusyError is why a request waits: as many requests of the account to the host as there may be are in flight.
type BusyError struct {
	Host  string
	Limit int
	err   error // of the context, if the request was not sent for that
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("not sent yet: the account has as many requests in flight to %s as it may have, %d", e.Host, e.Limit) + ending(e.Remedy())
}

func (e *BusyError) Unwrap() error { return e.err }

// NotBegun returns true: the request waits for its turn again.
func (e *BusyError) NotBegun() bool { return true }

// Remedy is the same for all.
func (e *BusyError) Remedy() string {
	return "raise max_in_flight_per_host of the account if the host can take more requests at a time"
}

// enter waits for a slot of a host. The wait does not count as time of the fetch. The error is a *BusyError, if ctx ends before.
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
