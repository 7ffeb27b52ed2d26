package files

import (
	"context"
	"path/filepath"
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
	done chan struct{} // closed when contents and err are set

	contents []byte
	err      error

	// The lock of the readers guards these.
	waiting int
	begun   bool
}

// readers are the goroutines that touch files.
type readers struct {
	mu      sync.Mutex
	left    *sync.Cond // signals that one has left a file
	answers map[question]*answer
	running int            // that touch a file
	inside  map[string]int // of these, by directory
}

func newReaders() *readers {
	r := &readers{answers: map[question]*answer{}, inside: map[string]int{}}
	r.left = sync.NewCond(&r.mu)
	return r
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
			r.mu.Lock()
			defer r.mu.Unlock()
			a.waiting--
			return nil, &NoResponseError{ctx.Err()}
		}
		if second || !early {
			return a.contents, a.err
		}
	}
}

// join returns the answer that is under way, and whether it has begun already, or a new one.
func (r *readers) join(q question, work func() ([]byte, error)) (a *answer, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a = r.answers[q]
	if a == nil {
		a = &answer{question: q, done: make(chan struct{})}
		r.answers[q] = a
		go r.find(a, work)
	}
	a.waiting++
	return a, a.begun
}

// find does the work when its turn comes, and hands the outcome to those who wait. If nobody does any more, there is no work to do.
func (r *readers) find(a *answer, work func() ([]byte, error)) {
	defer close(a.done)
	directory := filepath.Dir(a.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.running == perProcess || r.inside[directory] == perDirectory {
		r.left.Wait()
	}
	if a.begun = a.waiting > 0; a.begun {
		r.running++
		r.inside[directory]++
		func() {
			r.mu.Unlock()
			defer r.mu.Lock()
			a.contents, a.err = work()
		}()
		r.running--
		r.inside[directory]--
		r.left.Broadcast()
	}
	delete(r.answers, a.question)
}
