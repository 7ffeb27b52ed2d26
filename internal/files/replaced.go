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
	keepFor   = 30 * time.Second // for a value whose file cannot be read
	maxReads  = 3                // of files that are being replaced
	whichFile = -2               // instead of a number of bytes: another question
)

// Keep returns read, but while that fails, it returns the previous value for up to 30 seconds: a file may be empty or missing
// briefly while it is replaced. An error with a method IsWhole that returns true shows that the file is complete, and is returned at
// once.
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

// Together returns what read returns, which reads several files that belong together. It is repeated if one of them was replaced
// meanwhile, in place or, as in Kubernetes, with the directory that it is linked to.
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

// versions differ if a file was replaced or written.
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
