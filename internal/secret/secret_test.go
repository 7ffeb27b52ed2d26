package secret_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/secret"
)

const hidden = "MFyfvK41ba2giqM7Uio6"

func TestTextNeverShows(t *testing.T) {
	s := secret.New(hidden)
	type open struct{ Key secret.Text }
	type closed struct{ key secret.Text }
	encoded, err := json.Marshal(open{s})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(encoded)}
	for _, v := range []any{s, &s, open{s}, &open{s}, closed{s}, &closed{s}, []secret.Text{s}, map[string]secret.Text{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
	}
	for _, text := range shown {
		if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
			t.Errorf("the secret shows in %s", text)
		}
	}
	if got := s.Reveal(); got != hidden {
		t.Errorf("Reveal() = %q, want the secret", got)
	}
	if got := s.String(); got != "<secret>" {
		t.Errorf("String() = %q, want a placeholder", got)
	}
}

func TestEmptyText(t *testing.T) {
	var s secret.Text
	if !s.IsEmpty() || s.Reveal() != "" || s.String() != "" {
		t.Errorf("the zero Text is not empty: %q", s)
	}
	if err := s.UnmarshalText([]byte(hidden)); err != nil || s.Reveal() != hidden {
		t.Errorf("UnmarshalText gave %v and %v, want the text", s, err)
	}
}

// TestPanicShowsNoSecret has this program crash in another process, with secrets in what it crashes with and in what it was called with.
func TestPanicShowsNoSecret(t *testing.T) {
	type keys struct{ key secret.Text }
	crashes := map[string]func(s secret.Text){
		"text":      func(s secret.Text) { panic(s) },
		"structure": func(s secret.Text) { panic(keys{s}) },
		"pointer":   func(s secret.Text) { panic(&keys{s}) },
		"error":     func(s secret.Text) { panic(fmt.Errorf("bad %+v %s", keys{s}, s)) },
		"nil":       func(s secret.Text) { var none *keys; none.key = s },
	}
	if crash := crashes[os.Getenv("TEST_CRASH")]; crash != nil {
		crash(secret.New(hidden))
	}
	for name := range crashes {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicShowsNoSecret$")
		c.Env = append(os.Environ(), "TEST_CRASH="+name, "GOTRACEBACK=all")
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic") || strings.Contains(string(out), hidden) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
