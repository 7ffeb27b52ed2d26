package files

import (
	"context"
	"path/filepath"
	"sync"
)

// Limits of the threads that a file system that hangs can block. A mount usually hangs as a whole, so more readers of a directory
// would only hang too.
const (
	perDirectory = 4
	perProcess   = 32
)

// process are the readers of this process.
var process = newReaders()

// question identifies a read. Concurrent callers with the same question share the answer.
type question struct {
	name string
	most int64 // bytes, or a negative number for another question than the contents
}

// answer is a read in progress.
type answer struct {
	question
	done chan struct{} // closed when contents and err are set

	contents []byte
	err      error

	// Guarded by the lock of the readers.
	waiting int
	begun   bool
}

// readers are the goroutines that access files.
type readers struct {
	mu      sync.Mutex
	left    *sync.Cond // signals that one is done
	answers map[question]*answer
	running int            // accessing a file
	inside  map[string]int // of these, by directory
}

func newReaders() *readers {
	r := &readers{answers: map[question]*answer{}, inside: map[string]int{}}
	r.left = sync.NewCond(&r.mu)
	return r
}

// ask returns what work returns, which is called by one goroutine at a time for a question. It does not wait longer than ctx. A read
// that has started continues even if no one waits for it any more, and the next caller joins it.
//
// A read that started before the question might return outdated contents. So a caller that joined one asks again when it has ended;
// the second one is new enough in any case.
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

// join returns the read in progress, and whether it has already started, or a new one.
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

// find does the work when its turn comes, and hands the result to the waiting callers. If there are none left, it does nothing.
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
