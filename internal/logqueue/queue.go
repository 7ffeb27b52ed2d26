// Package logqueue decouples logging from the reader of the log. A pipe that is not read is full after some lines, and would block
// every goroutine that logs: scrapes, reloads, and the end of the program.
package logqueue

import (
	"io"
	"slices"
	"sync"
	"time"
)

// Queue writes lines whole and in order. If they are not read fast enough, it drops and counts them.
type Queue struct {
	out    io.Writer
	most   int // waiting bytes
	notice func(out io.Writer, dropped uint64)

	mu       sync.Mutex
	entries  []entry
	size     int  // bytes in entries
	dropping bool // until half of the bytes are written, so that one notice covers many lines
	dropped  uint64
	drained  chan struct{} // closed when everything is written; nil if nothing waits
}

// entry is a line, or the number of lines dropped in its place.
type entry struct {
	line    []byte
	dropped uint64
}

// New returns a queue for out with so many bytes. When out accepts lines again after some were dropped, it calls notice, which
// writes a line to out with their number.
func New(out io.Writer, most int, notice func(out io.Writer, dropped uint64)) *Queue {
	return &Queue{out: out, most: most, notice: notice}
}

// Write adds a line. It never blocks, and never fails.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := len(q.entries) - 1
	switch q.dropping = q.size+len(line) > q.most || q.dropping && q.size > q.most/2; {
	case !q.dropping:
		q.entries = append(q.entries, entry{line: slices.Clone(line)})
		q.size += len(line)
	case last >= 0 && q.entries[last].dropped > 0:
		q.entries[last].dropped++
	default:
		q.entries = append(q.entries, entry{dropped: 1})
	}
	if q.dropping {
		q.dropped++
	}
	if q.drained == nil {
		q.drained = make(chan struct{})
		go q.drain()
	}
	return len(line), nil
}

// Dropped returns the number of dropped lines.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Flush waits until everything is written, up to a timeout.
func (q *Queue) Flush(within time.Duration) {
	q.mu.Lock()
	drained := q.drained
	q.mu.Unlock()
	if drained == nil {
		return
	}
	select {
	case <-drained:
	case <-time.After(within):
	}
}

// drain writes until nothing waits. A line that cannot be written counts as dropped.
func (q *Queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.entries) > 0 {
		e := q.entries[0]
		q.entries = q.entries[1:]
		q.size -= len(e.line)
		if !q.write(e) {
			q.dropped++
		}
	}
	q.entries = nil // releases its memory
	close(q.drained)
	q.drained = nil
}

// write writes an entry without the lock, and reports whether it succeeded.
func (q *Queue) write(e entry) bool {
	q.mu.Unlock()
	defer q.mu.Lock()
	if e.dropped > 0 {
		q.notice(q.out, e.dropped)
		return true
	}
	_, err := q.out.Write(e.line)
	return err == nil
}
