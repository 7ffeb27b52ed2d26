package k8s

import (
	"strings"
	"sync"
	"testing"
)

// built are the tools of go.mod, by name. Go builds each once, and keeps it in its cache. Only the first time takes minutes.
var built sync.Map

// tool returns the path of a tool of go.mod.
func tool(t testing.TB, name string) string {
	t.Helper()
	build, _ := built.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		out, err := run("go", "tool", "-n", name) // builds it, and prints its path
		return strings.TrimSpace(string(out)), err
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
