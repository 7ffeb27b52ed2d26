package files

import "context"

// Readers are separate readers for a test.
type Readers struct{ *readers }

// NewReaders returns readers that do not share slots with those of the process.
func NewReaders() Readers { return Readers{newReaders()} }

// Ask requests a file, with work in place of reading it.
func (r Readers) Ask(ctx context.Context, name string, work func() ([]byte, error)) (string, error) {
	contents, err := r.ask(ctx, question{name, 0}, work)
	return string(contents), err
}

// IsIdle reports whether no state of previous reads is kept.
func (r Readers) IsIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.answers) == 0 && r.running == 0
}
