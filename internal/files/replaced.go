package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	keepFor   = 30 * time.Second // a value whose file can't be read
	maxReads  = 3                // of files that are being replaced
	whichFile = -2               // in place of a number of bytes: another question
)

// Keep returns read, but while it fails, the value before is returned for up to 30 seconds: a file may be empty or missing for a moment while it is
// replaced. An error with a method IsWhole that returns true is of a file that was not caught in the middle, and returned at once.
func Keep[T any](read func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var good T
	var hasGood bool
	var failing time.Time // since when; zero if it does not
	return func(ctx context.Context) (T, error) {
		value, err := read(ctx)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			good, hasGood, failing = value, true, time.Time{}
		case failing.IsZero():
			failing = time.Now()
		}
		var whole interface{ IsWhole() bool }
		isWhole := errors.As(err, &whole) && whole.IsWhole()
		if err != nil && hasGood && !isWhole && time.Since(failing) < keepFor {
			return good, nil
		}
		return value, err
	}
}

// Together returns what read returns, which reads several files that belong together. It is called again if one of them was replaced meanwhile, in place
// or, as Kubernetes does, together with the directory that it is linked to.
func Together[T any](ctx context.Context, names []string, read func(context.Context) (T, error)) (T, error) {
	if len(names) < 2 {
		return read(ctx)
	}
	before := versions(ctx, names)
	for n := 1; ; n++ {
		value, err := read(ctx)
		after := versions(ctx, names)
		if n == maxReads || slices.Equal(before, after) {
			return value, err
		}
		before = after
	}
}

// versions are different if a file was replaced or written.
func versions(ctx context.Context, names []string) (all []string) {
	for _, name := range names {
		version, err := process.ask(ctx, question{name, whichFile}, func() ([]byte, error) {
			path, err := filepath.EvalSymlinks(name)
			if err != nil {
				return nil, err
			}
			info, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			return fmt.Append(nil, path, info.ModTime().UnixNano(), info.Size()), nil
		})
		all = append(all, fmt.Sprint(string(version), err))
	}
	return all
}
