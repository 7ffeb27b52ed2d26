// Command fuzz runs every fuzz target of the project for a while, one after the other: go run ./test/fuzz 1m
//
// go run ./test all tries 500 inputs of each. The seeds and the inputs in testdata/fuzz, no two of which cover the same code, run with the other tests. New
// findings are saved in testdata/fuzz of the package. Commit them with the fix.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

func main() {
	length := "10s"
	if len(os.Args) > 1 {
		length = os.Args[1]
	}
	_, err := time.ParseDuration(length)
	if isNumber := regexp.MustCompile(`^\d+x$`).MatchString(length); err != nil && !isNumber || len(os.Args) > 2 {
		fmt.Fprintln(os.Stderr, "fuzz: set how long each target runs, such as 1m, or the number of inputs, such as 500x")
		os.Exit(2)
	}
	failed := false
	for _, target := range targets() {
		pkg, name, _ := strings.Cut(target, " ")
		// Minimizing new coverage takes most of the time, unless it is limited.
		c := exec.Command("go", "test", "-run=^$", "-fuzz=^"+name+"$", "-fuzztime="+length, "-fuzzminimizetime=20x", pkg) //nolint:gosec,noctx // of this project
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		fmt.Printf("== %s in %s\n", name, pkg)
		failed = c.Run() != nil || failed
	}
	if failed {
		os.Exit(1)
	}
}

var listed = regexp.MustCompile(`(?m)^(Fuzz\w+)$|^ok\s+(\S+)`)

// targets are "package name" of all fuzz targets. go test lists the names, and then the package.
func targets() []string {
	out, err := exec.Command("go", "test", "-list=^Fuzz", "./...").Output() //nolint:noctx // Ctrl-C reaches it
	if err != nil {
		fmt.Fprintf(os.Stderr, "fuzz: list the targets: %v\n%s", err, out)
		os.Exit(1)
	}
	var all, names []string
	for _, m := range listed.FindAllStringSubmatch(string(out), -1) {
		if m[1] != "" {
			names = append(names, m[1])
			continue
		}
		for _, name := range names {
			all = append(all, m[2]+" "+name)
		}
		names = nil
	}
	return all
}
