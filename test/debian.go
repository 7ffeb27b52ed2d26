package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// onDebian returns a step that runs the tests of a module that needs root, Linux, and some programs from Debian packages. Elsewhere the step prints
// that it is skipped. If the variable CI is set, it fails instead.
func onDebian(subject, module, programs, packages string) func() error {
	return func() error {
		isMissing := func(program string) bool { _, err := exec.LookPath(program); return err != nil }
		if runtime.GOOS != "linux" || os.Geteuid() != 0 || slices.ContainsFunc(strings.Fields(programs), isMissing) {
			needs := "it needs root on Linux, and " + programs + " (Debian's packages " + packages + ")"
			if os.Getenv("CI") != "" {
				return fmt.Errorf("%s: %s", subject, needs)
			}
			fmt.Printf("SKIPPED: the tests of %s: %s\n", subject, needs)
			return nil
		}
		if err := run("-C", module, "vet", "./..."); err != nil {
			return err
		}
		return run("-C", module, "test", "-count=1", "-timeout=20m", "./...")
	}
}
