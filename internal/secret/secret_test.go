package secret_test

import (
	"encoding/json"
	"fmt"
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
