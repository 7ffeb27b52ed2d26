//go:build !unix

package bench_test

import "time"

var start = time.Now()

// cpuTime returns the time since the start, as the CPU time is not known.
func cpuTime() time.Duration { return time.Since(start) }
