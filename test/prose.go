package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// checkedProse are the files whose words, spelling, form, and links are checked, as pathspecs of git. Tests and their data are not.
var checkedProse = []string{
	"*.md", "*.go", "deploy/prometheus/*.yml", "config.example.yml", "providers/catalogue.yml", ":!*_test.go", ":!**/testdata/**", ":!test/**",
}

// prose checks documentation, comments, and strings with Vale, cspell, and markdownlint. The rules are in test/prose.
func prose() error {
	files, err := proseFiles()
	if err != nil {
		return err
	}
	if err := vale(files); err != nil {
		return err
	}
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			return errors.New("spelling and links of the documentation need npm: install it")
		}
		fmt.Println("WITHOUT SPELLING AND LINKS OF THE DOCUMENTATION: cspell and markdownlint need npm, which is missing")
		return nil
	}
	if err := npm("test/prose", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
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
		return errors.New("the words of the documentation need a C compiler, for Vale: install gcc")
	default:
		fmt.Println("WITHOUT WORDS OF THE DOCUMENTATION: Vale needs a C compiler, which is missing")
		return nil
	}
}

// proseFiles returns the files to check: all but those in unchecked.txt.
func proseFiles() ([]string, error) {
	unchecked, err := os.ReadFile("test/prose/unchecked.txt")
	if err != nil {
		return nil, err
	}
	args := slices.Concat([]string{"ls-files", "--"}, checkedProse)
	for file := range strings.FieldsSeq(string(unchecked)) {
		args = append(args, ":!"+file)
	}
	out, err := exec.Command("git", args...).Output() //nolint:gosec,noctx // as in run
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// npm runs a command of npm in a directory, and shows what it prints.
func npm(dir string, args ...string) error {
	c := exec.Command("npm", args...) //nolint:gosec,noctx // as in run
	c.Dir, c.Stdout, c.Stderr = dir, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("npm %s: %w", args[0], err)
	}
	return nil
}
