package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Files to check, as pathspecs of git. The words of all texts are checked, except data and generated files. Spelling is also not checked in tests.
var (
	wordsIn = []string{
		".", ":!LICENSE", ":!*.png", ":!*.mod", ":!*.sum", ":!*package*.json", ":!**/testdata/**", ":!docs/runbooks/html/**", ":!providers/examples/**",
		":!deploy/helm/cloud-quota-exporter/files/**", ":!test/prose/**",
	}
	spellingIn = slices.Concat(wordsIn, []string{":!*_test.go", ":!test/**", ":!.*", ":!**/*.css", ":!**/*.json"})
)

// prose checks documentation, comments, and strings with Vale, cspell, and markdownlint. The rules are in test/prose. misspell checks the tests.
func prose() error {
	words, err := tracked(wordsIn)
	if err != nil {
		return err
	}
	if err := vale(words); err != nil {
		return err
	}
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			return errors.New("the checks of spelling and links need npm: install it")
		}
		fmt.Println("SKIPPED: the checks of spelling and links need npm, which is missing")
		return nil
	}
	if err := npm("test/prose", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	files, err := tracked(spellingIn)
	if err != nil {
		return err
	}
	spelling := []string{"exec", "--prefix=test/prose", "--", "cspell", "lint", "--no-progress", "--config=test/prose/cspell.json"}
	if err := npm(".", slices.Concat(spelling, files)...); err != nil {
		return err
	}
	form := []string{"exec", "--prefix=test/prose", "--", "markdownlint-cli2", "--config", "test/prose/.markdownlint-cli2.jsonc"}
	markdown := slices.DeleteFunc(files, func(file string) bool { return !strings.HasSuffix(file, ".md") })
	return npm(".", slices.Concat(form, markdown)...)
}

// vale checks words and the length of sentences.
func vale(files []string) error {
	cgo, err := output("env", "CGO_ENABLED")
	switch {
	case err != nil:
		return err
	case cgo == "1":
		if err := run(slices.Concat([]string{"tool", "-modfile=test/prose/go.mod", "vale", "--config=test/prose/.vale.ini"}, files)...); err != nil {
			return fmt.Errorf("vale: %w", errors.Unwrap(err)) // without the names of all files
		}
		return nil
	case os.Getenv("CI") != "":
		return errors.New("the check of words uses Vale, which needs a C compiler: install gcc")
	default:
		fmt.Println("SKIPPED: the check of words uses Vale, which needs a C compiler")
		return nil
	}
}

// tracked returns the files in git that match pathspecs.
func tracked(pathspecs []string) ([]string, error) {
	out, err := exec.Command("git", slices.Concat([]string{"ls-files", "--"}, pathspecs)...).Output() //nolint:gosec,noctx // as in run
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// npm runs an npm command in a directory, and shows its output.
func npm(dir string, args ...string) error {
	c := exec.Command("npm", args...) //nolint:gosec,noctx // as in run
	c.Dir, c.Stdout, c.Stderr = dir, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("npm %s: %w", args[0], err)
	}
	return nil
}
