package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const unreleased = "devel" // the version if there is none

// source is what a release is made from.
type source struct {
	version, revision string
	time              time.Time // of the last commit
}

func (s source) date() string { return s.time.Format(time.RFC3339) }

var (
	newest = regexp.MustCompile(`(?m)^## (.*)$`) // in the change log
	number = regexp.MustCompile(`^(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?) / \d{4}-\d{2}-\d{2}$`)
)

// readSource gets the version from the change log, and the commit from git, in the working directory, which is the root of a clone.
func readSource() (source, error) {
	version, err := readVersion()
	if err != nil {
		return source{}, err
	}
	s := source{version: version}
	commit, err := output("git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return source{}, fmt.Errorf("%w; a release is built from a clone", err)
	}
	revision, seconds, _ := strings.Cut(strings.TrimSpace(string(commit)), " ")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("the date of the last commit: %w", err)
	}
	s.revision, s.time = revision, time.Unix(at, 0).UTC()
	changed, err := output("git", "status", "--porcelain")
	switch {
	case err != nil:
		return source{}, err
	case len(changed) > 0 && version != unreleased:
		return source{}, fmt.Errorf("these files differ from the last commit:\n%s; commit or remove them, because a release contains only committed files", changed)
	case len(changed) > 0:
		s.revision += "-modified"
	}
	return s, nil
}

// readVersion returns the version in the first heading of the change log.
func readVersion() (string, error) {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return "", fmt.Errorf("%w; run this in the root of a clone", err)
	}
	heading := newest.FindSubmatch(changes)
	if heading == nil {
		return "", errors.New(`CHANGELOG.md has no version; start it with a heading such as "## 1.2.3 / 2026-01-31", or "## Unreleased"`)
	}
	if string(heading[1]) == "Unreleased" {
		return unreleased, nil
	}
	numbered := number.FindSubmatch(heading[1])
	if numbered == nil {
		return "", fmt.Errorf(`CHANGELOG.md starts with %q; expected a heading such as "## 1.2.3 / 2026-01-31", or "## Unreleased"`, heading[0])
	}
	return string(numbered[1]), nil
}
