package command

import "sync"

// crowds knows which projects fail alike, so that the log names some of them, not a thousand: keys that are revoked are one cause, however
// many projects they read.
type crowds struct {
	mu      sync.Mutex
	members map[crowd]map[string]bool // labels of projects
}

// crowd are failures that have their cause in common, as far as can be told.
type crowd struct{ account, service, reason string }

// named is how many of a crowd the log names.
const named = 5

func newCrowds() *crowds { return &crowds{members: map[crowd]map[string]bool{}} }

// join returns how many there are, the new one among them.
func (c *crowds) join(of crowd, project string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[of] == nil {
		c.members[of] = map[string]bool{}
	}
	c.members[of][project] = true
	return len(c.members[of])
}

// leave returns how many there were, the one that leaves among them.
func (c *crowds) leave(of crowd, project string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.members[of])
	delete(c.members[of], project)
	return n
}

// forget begins anew, since projects may be gone.
func (c *crowds) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.members)
}
