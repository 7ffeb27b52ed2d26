package logqueue_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/logqueue"
)

// pipe accepts a write whenever it is read.
type pipe struct {
	reads chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func newPipe() *pipe { return &pipe{reads: make(chan struct{})} }

func (p *pipe) Write(b []byte) (int, error) {
	<-p.reads
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// read accepts n writes.
func (p *pipe) read(writes int) {
	for range writes {
		p.reads <- struct{}{}
	}
	synctest.Wait()
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func notice(out io.Writer, dropped uint64) { fmt.Fprintf(out, "dropped %d\n", dropped) }

// write writes lines of ten bytes.
func write(t *testing.T, q *logqueue.Queue, from, to int) {
	t.Helper()
	start := time.Now()
	for i := from; i < to; i++ {
		if n, err := fmt.Fprintf(q, "line %04d\n", i); n != 10 || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
	}
	if took := time.Since(start); took != 0 {
		t.Errorf("logging waited %s", took)
	}
	synctest.Wait()
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %04d\n", i)
	}
	return b.String()
}

// TestQueueWithoutAReader: logging does not block, the queue is limited, and when it is read again, one line reports the number of missing
// lines in their place.
func TestQueueWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		q := logqueue.New(p, 100, notice)
		write(t, q, 0, 1)  // in progress
		write(t, q, 1, 11) // wait
		if n := q.Dropped(); n != 0 || p.String() != "" {
			t.Errorf("%d dropped, %q written", n, p)
		}
		write(t, q, 11, 1000)
		if n := q.Dropped(); n != 989 {
			t.Errorf("%d dropped", n)
		}
		p.read(3)
		write(t, q, 1000, 1001) // not yet: the reader might be slow, and would have to read about each dropped line
		p.read(3)
		write(t, q, 1001, 1003)
		p.read(6 + 2)
		if want := lines(0, 11) + "dropped 990\n" + lines(1001, 1003); p.String() != want || q.Dropped() != 990 {
			t.Errorf("%d dropped; written\n%swant\n%s", q.Dropped(), p, want)
		}
		write(t, q, 0, 1) // and again
		write(t, q, 1, 20)
		p.read(12)
		if want := lines(0, 11) + "dropped 9\n"; !strings.HasSuffix(p.String(), want) || q.Dropped() != 999 {
			t.Errorf("%d dropped; written\n%swant at the end\n%s", q.Dropped(), p, want)
		}
	})
}

// TestLinesStayWhole with concurrent writers.
func TestLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	q := logqueue.New(&out, 1<<20, notice)
	var writers sync.WaitGroup
	for w := range 10 {
		writers.Go(func() {
			buffer := make([]byte, 0, 100) // reused, as loggers do
			for i := range 1000 {
				buffer = fmt.Appendf(buffer[:0], "%d %d\n", w, i)
				_, _ = q.Write(buffer)
			}
		})
	}
	writers.Wait()
	q.Flush(time.Minute)
	next := map[int]int{}
	for line := range strings.Lines(out.String()) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil || next[w] != i {
			t.Fatalf("%q, want line %d of %d", line, next[w], w)
		}
		next[w]++
	}
	for w := range 10 {
		if next[w] != 1000 {
			t.Errorf("%d lines of %d", next[w], w)
		}
	}
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		q := logqueue.New(p, 100, notice)
		takes := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			q.Flush(time.Second)
			if took := time.Since(start); took != want {
				t.Errorf("took %s, want %s", took, want)
			}
		}
		takes(0)
		write(t, q, 0, 2)
		takes(time.Second)
		go func() {
			<-time.After(100 * time.Millisecond)
			p.read(2)
		}()
		takes(100 * time.Millisecond)
		if p.String() != lines(0, 2) {
			t.Errorf("written: %s", p)
		}
		takes(0)
	})
}

// TestLinesThatCannotBeWritten counts as dropped, and so does a line that is longer than the whole queue.
func TestLinesThatCannotBeWritten(t *testing.T) {
	full := errors.New("no space left on device")
	q := logqueue.New(failing{full}, 100, notice)
	fmt.Fprint(q, "a\n")
	fmt.Fprint(q, "b\n")
	q.Flush(time.Minute)
	if n := q.Dropped(); n != 2 {
		t.Errorf("%d dropped", n)
	}
	var out bytes.Buffer
	q = logqueue.New(&out, 100, notice)
	fmt.Fprint(q, strings.Repeat("x", 101))
	fmt.Fprint(q, "b\n")
	q.Flush(time.Minute)
	if n := q.Dropped(); n != 1 || out.String() != "dropped 1\nb\n" {
		t.Errorf("%d dropped, written: %s", n, &out)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
