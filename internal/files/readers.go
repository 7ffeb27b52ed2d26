package files

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
)

// A file system that hangs takes so many threads at most. A mount usually hangs as a whole, so more readers of a directory would only hang too.
const (
	perDirectory = 4
	perProcess   = 32
)

// process are the readers of this process.
var process = newReaders()

// question is what is asked of a file. Those who ask the same share the answer.
type question struct {
	name string
	most int64 // bytes, or a negative number: another question than for the contents
}

// answer is a question under way.
type answer struct {
	question
	work func() ([]byte, error)
	done chan struct{} // closed when contents and err are set

	contents []byte
	err      error

	// The lock of the readers guards these.
	waiting int
	begun   bool
}

func (a *answer) directory() string { return filepath.Dir(a.name) }

// readers are the goroutines that touch files.
type readers struct {
	mu      sync.Mutex
	answers map[question]*answer
	line    []*answer      // that wait for a slot, the first in front
	running int            // answers that have a slot
	inside  map[string]int // of these, by directory
}

func newReaders() *readers {
	return &readers{answers: map[question]*answer{}, inside: map[string]int{}}
}

// ask returns what work returns, which is called by one goroutine at a time for a question. It waits no longer than ctx. An answer that
// nobody waits for any more goes on if it has begun, and whoever asks next joins it.
//
// An answer that had begun before the question might be older than what the file is now. So whoever joined one asks once more when it has
// arrived; the second one is new enough in any case.
func (r *readers) ask(ctx context.Context, q question, work func() ([]byte, error)) ([]byte, error) {
	for second := false; ; second = true {
		a, early := r.join(q, work)
		select {
		case <-a.done:
		case <-ctx.Done():
			r.leave(a)
			return nil, &NoResponseError{ctx.Err()}
		}
		if second || !early {
			return a.contents, a.err
		}
	}
}

// join returns the answer that is under way, and whether it has begun already, or stands in line for a new one.
func (r *readers) join(q question, work func() ([]byte, error)) (a *answer, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.answers[q]; a != nil {
		a.waiting++
		return a, a.begun
	}
	a = &answer{question: q, work: work, done: make(chan struct{}), waiting: 1}
	r.answers[q] = a
	r.line = append(r.line, a)
	r.begin()
	return a, false
}

// leave ends the wait for an answer. One that still stands in line is of no use if nobody waits for it.
func (r *readers) leave(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.waiting--
	if a.waiting == 0 && !a.begun {
		delete(r.answers, a.question)
		r.line = slices.DeleteFunc(r.line, func(b *answer) bool { return b == a })
	}
}

// begin starts the answers in line that there are slots for; r.mu is held.
func (r *readers) begin() {
	r.line = slices.DeleteFunc(r.line, func(a *answer) bool {
		if r.running == perProcess || r.inside[a.directory()] == perDirectory {
			return false
		}
		r.running++
		r.inside[a.directory()]++
		a.begun = true
		go r.find(a)
		return true
	})
}

// find does the work and tells those who wait.
func (r *readers) find(a *answer) {
	defer close(a.done)
	a.contents, a.err = a.work()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.answers, a.question)
	r.running--
	if r.inside[a.directory()]--; r.inside[a.directory()] == 0 {
		delete(r.inside, a.directory())
	}
	r.begin()
}
