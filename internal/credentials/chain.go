package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/refresh"
)

// Chain uses the first of several sources that this machine has. It selects it when keys are needed first, and keeps it. A source that is there and
// wrong, such as an access key without its secret key, is an error; the next one is not tried.
func Chain(sources ...Source) Source {
	c := &chain{sources: sources}
	c.policy = refresh.Policy[Source]{
		Fetch:   c.choose,
		Timeout: 3*localTimeout + fileTimeout, // the metadata service takes two requests, pod identity one, and the profile is a file
		TTL:     func(Source) time.Duration { return forever },
		Backoff: pause,
	}
	return c
}

const forever = 100 * 365 * 24 * time.Hour

type chain struct {
	sources []Source
	cell    refresh.Cell[Source]
	policy  refresh.Policy[Source]

	mu    sync.Mutex
	found Source // by the last Grant or Check: the first that is not absent; nil: all are
}

// choose returns the first source that is not absent, with its error.
func (c *chain) choose(ctx context.Context) (Source, error) {
	found, why, err := c.find(func(s Source) error {
		_, err := s.Grant(ctx, huaweicloud.Scope{})
		return err
	})
	if found == nil {
		return nil, huaweicloud.Advise(errors.New("no source of the default chain fits ("+strings.Join(why, "), (")+")"),
			"state credentials in the configuration, or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
	}
	return found, err
}

// find returns the first source for which try does not return an absentError, with the error, and why the sources before are absent.
func (c *chain) find(try func(Source) error) (found Source, why []string, err error) {
	for _, s := range c.sources {
		err = try(s)
		absent, ok := errors.AsType[*absentError](err)
		if !ok {
			found = s
			break
		}
		why = append(why, huaweicloud.What(absent))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = found
	return found, why, err
}

// Check returns the error of the first source that is not absent. If all are, it returns nil, since the metadata service may have keys.
func (c *chain) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	found, _, err := c.find(func(s Source) error { return s.Check(ctx) })
	if found == nil {
		return nil
	}
	return err
}

// Status is that of the selected source. Before, it has the first one that is not absent.
func (c *chain) Status() Status {
	s := c.cell.Peek()
	if s.Value != nil {
		return s.Value.Status()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	status := Status{From: "environment, profile, instance_metadata, pod_identity", Err: s.Err}
	if c.found != nil {
		found := c.found.Status()
		status.Files = found.Files
		if s.Err == nil {
			status.From = found.From
		}
	}
	status.From = "default chain: " + status.From
	return status
}

// Grant returns the keys of the selected source.
func (c *chain) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	selected := c.cell.Await(ctx, &c.policy)
	switch {
	case selected.Value != nil:
		return selected.Value.Grant(ctx, s)
	case selected.Err != nil:
		return nil, selected.Err
	default:
		return nil, errors.Join(errors.New("the default chain of credentials has not found any in time"), ctx.Err())
	}
}

func (c *chain) Reject(g huaweicloud.Grant) {
	if s := c.cell.Peek().Value; s != nil {
		s.Reject(g)
	}
}
