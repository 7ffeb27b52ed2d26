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

// Chain takes the first of several sources that this machine has, when keys are needed first, and stays with it. A source that is there and
// wrong, such as an access key without its secret key, is an error rather than a reason to take the next one.
func Chain(links ...Source) Source {
	c := &chain{links: links}
	c.policy = refresh.Policy[Source]{
		Fetch:   c.choose,
		Timeout: 3*localTimeout + fileTimeout, // the metadata service takes two requests, pod identity one, and the profile is a file
		Fresh:   func(Source) time.Duration { return forGood },
		Pause:   pause,
	}
	return c
}

const forGood = 100 * 365 * 24 * time.Hour

type chain struct {
	links  []Source
	cell   refresh.Cell[Source]
	policy refresh.Policy[Source]

	mu    sync.Mutex
	found Source // that the last look took, or found wrong; nil: none
}

// choose returns the first source that has keys.
func (c *chain) choose(ctx context.Context) (Source, error) {
	var why []string
	for _, link := range c.links {
		_, err := link.Grant(ctx, huaweicloud.Scope{})
		absent, ok := errors.AsType[*absentError](err)
		if !ok {
			c.note(link)
			return link, err
		}
		why = append(why, huaweicloud.What(absent))
	}
	c.note(nil)
	return nil, huaweicloud.Advise(errors.New("no source of the default chain fits ("+strings.Join(why, "), (")+")"),
		"state credentials in the configuration, or set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
}

// note keeps what a look found.
func (c *chain) note(found Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = found
}

// last returns what the last look found.
func (c *chain) last() Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found
}

// Describe says which source was taken. Before any was asked, it is the first that fits as far as Check could tell.
func (c *chain) Describe() string {
	s := c.cell.Peek()
	if s.Value != nil {
		return s.Value.Describe()
	}
	if source := c.last(); source != nil && s.Err == nil {
		return "default chain: " + source.Describe()
	}
	return "default chain: environment, profile, instance_metadata, pod_identity"
}

// Check looks at the sources in their order until one fits or is wrong. That none lies on this machine is no error: the metadata service may
// have keys.
func (c *chain) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fileTimeout)
	defer cancel()
	for _, link := range c.links {
		err := link.Check(ctx)
		if _, absent := errors.AsType[*absentError](err); !absent {
			c.note(link)
			return err
		}
	}
	c.note(nil)
	return nil
}

// Files are those of the source that was taken or, before that, of the first that fits or is wrong.
func (c *chain) Files() []string {
	source := c.cell.Peek().Value
	if source == nil {
		source = c.last()
	}
	if source == nil {
		return nil
	}
	return source.Files()
}

// Failure is that of the source that was taken, or why there is none.
func (c *chain) Failure() error {
	s := c.cell.Peek()
	if s.Value != nil {
		return s.Value.Failure()
	}
	return s.Err
}

// Expiry is that of the source that was taken.
func (c *chain) Expiry() time.Time {
	if taken := c.cell.Peek().Value; taken != nil {
		return taken.Expiry()
	}
	return time.Time{}
}

// Grant returns what the source that was taken grants.
func (c *chain) Grant(ctx context.Context, s huaweicloud.Scope) (huaweicloud.Grant, error) {
	chosen := c.cell.Await(ctx, &c.policy)
	switch {
	case chosen.Value != nil:
		return chosen.Value.Grant(ctx, s)
	case chosen.Err != nil:
		return nil, chosen.Err
	default:
		return nil, errors.Join(errors.New("the default chain of credentials has not found any in time"), ctx.Err())
	}
}

// Reject tells the source that was taken.
func (c *chain) Reject(g huaweicloud.Grant) {
	if taken := c.cell.Peek().Value; taken != nil {
		taken.Reject(g)
	}
}
