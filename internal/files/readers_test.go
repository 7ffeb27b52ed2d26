package files_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/files"
)

// disk is a file system that can hang.
type disk struct {
	hangs   chan struct{} // closed when it responds again
	reading atomic.Int64
	most    atomic.Int64
	reads   atomic.Int64
}

func newDisk() *disk { return &disk{hangs: make(chan struct{})} }

// read returns the number of the read, once the disk responds.
func (d *disk) read() ([]byte, error) {
	n := d.reads.Add(1)
	d.most.Store(max(d.most.Load(), d.reading.Add(1)))
	defer d.reading.Add(-1)
	<-d.hangs
	return fmt.Append(nil, n), nil
}

func quick() ([]byte, error) { return []byte("quick"), nil }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestHangingFileIsReadOnce: all callers get an error in time, only one goroutine continues, and the next caller gets the current
// contents.
func TestHangingFileIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := files.NewReaders(), newDisk()
		slow := func() ([]byte, error) {
			defer func() { <-time.After(time.Second) }()
			return d.read()
		}
		var askers sync.WaitGroup
		for range 100 {
			askers.Go(func() {
				start := time.Now()
				_, err := r.Ask(within(t, time.Second), "/hung/a", slow)
				if e, ok := errors.AsType[*files.NoResponseError](err); !ok || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("got %v %v after %s", e, err, time.Since(start))
				}
			})
		}
		askers.Wait()
		go func() {
			<-time.After(time.Minute)
			close(d.hangs)
		}()
		for range 10 {
			askers.Go(func() {
				if got, err := r.Ask(t.Context(), "/hung/a", slow); got != "2" || err != nil {
					t.Errorf("got %q, %v; want the contents after the call", got, err)
				}
			})
		}
		askers.Wait()
		if n, most := d.reads.Load(), d.most.Load(); n != 2 || most != 1 {
			t.Errorf("%d reads, %d at a time", n, most)
		}
		if got, err := r.Ask(t.Context(), "/hung/a", quick); got != "quick" || err != nil {
			t.Errorf("got %q, %v from a file that was read before", got, err)
		}
		synctest.Wait()
		if !r.IsIdle() {
			t.Error("state is leaked")
		}
	})
}

// TestHangingDirectoryDoesNotAffectOthers: it uses up to four threads, and all hanging directories up to 32.
func TestHangingDirectoryDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := files.NewReaders(), newDisk()
		defer func() {
			close(d.hangs)
			synctest.Wait()
			if !r.IsIdle() {
				t.Error("state is leaked")
			}
		}()
		hang := func(directories int) {
			var askers sync.WaitGroup
			for i := range 100 {
				askers.Go(func() {
					name := fmt.Sprintf("/hung%d/%d", i%directories, i)
					if _, err := r.Ask(within(t, time.Second), name, d.read); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
				})
			}
			askers.Wait()
		}
		elsewhere := func(want error) {
			t.Helper()
			start := time.Now()
			_, err := r.Ask(within(t, time.Second), "/elsewhere/a", quick)
			if !errors.Is(err, want) || err == nil && time.Since(start) != 0 {
				t.Errorf("got %v after %s, want %v", err, time.Since(start), want)
			}
		}
		hang(1)
		if n := d.most.Load(); n != 4 {
			t.Errorf("%d readers of one directory", n)
		}
		elsewhere(nil)
		hang(7)
		elsewhere(nil)
		hang(20)
		if n := d.most.Load(); n != 32 {
			t.Errorf("%d readers in the process", n)
		}
		elsewhere(context.DeadlineExceeded)
	})
}

// TestWaitForASlotEnds: if all callers have given up before a read starts, it is not started.
func TestWaitForASlotEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d := files.NewReaders(), newDisk()
		for i := range 4 {
			go func() { _, _ = r.Ask(t.Context(), fmt.Sprintf("/d/%d", i), d.read) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-time.After(time.Second)
			cancel()
		}()
		asked := false
		_, err := r.Ask(ctx, "/d/late", func() ([]byte, error) {
			asked = true
			return nil, nil
		})
		if !errors.Is(err, context.Canceled) || err.Error() != "no response from the file system: context canceled" {
			t.Errorf("got %v", err)
		}
		close(d.hangs)
		synctest.Wait()
		if asked || !r.IsIdle() {
			t.Errorf("started %t, idle %t", asked, r.IsIdle())
		}
	})
}
