package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// onDebian returns a step that runs the tests of a module that need root, Linux and some programs, which Debian's packages have. Elsewhere
// they are left out and that is said, except where the variable CI is set: there it is an error.
func onDebian(subject, module, programs, packages string) func() error {
	return func() error {
		isMissing := func(program string) bool { _, err := exec.LookPath(program); return err != nil }
		if runtime.GOOS != "linux" || os.Geteuid() != 0 || slices.ContainsFunc(strings.Fields(programs), isMissing) {
			needs := "it needs root on Linux, and " + programs + " (Debian's packages " + packages + ")"
			if os.Getenv("CI") != "" {
				return fmt.Errorf("%s: %s", subject, needs)
			}
			fmt.Printf("WITHOUT %s: %s\n", strings.ToUpper(subject), needs)
			return nil
		}
		if err := run("-C", module, "vet", "./..."); err != nil {
			return err
		}
		return run("-C", module, "test", "-count=1", "-timeout=20m", "./...")
	}
}
