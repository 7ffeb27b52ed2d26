package secret_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/secret"
)

const hidden = "MFyfvK41ba2giqM7Uio6"

func TestTextIsNeverShown(t *testing.T) {
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
			t.Errorf("the secret is shown in %s", text)
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
}

// TestPanicShowsNoSecret crashes this program in another process, with secrets in the panic and in the arguments.
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

// spellings returns the ways in which a server can spell a text in a response.
func spellings(t *testing.T, text string) map[string]string {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	inJSON, inBase64 := string(encoded[1:len(encoded)-1]), base64.StdEncoding.EncodeToString([]byte(text))
	return map[string]string{
		"as it is":                 text,
		"JSON":                     inJSON,
		"JSON, HTML left alone":    strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text),
		"JSON, slashes escaped":    strings.ReplaceAll(inJSON, "/", `\/`),
		"a query":                  url.QueryEscape(text),
		"a query in small letters": regexp.MustCompile("%..").ReplaceAllStringFunc(url.QueryEscape(text), strings.ToLower),
		"a path":                   url.PathEscape(text),
		"HTML":                     html.EscapeString(text),
		"HTML of templates":        template.HTMLEscapeString(text),
		"HTML with names":          strings.ReplaceAll(html.EscapeString(text), "&#34;", "&quot;"),
		"base64":                   inBase64,
		"base64 in a query":        url.QueryEscape(inBase64),
		"base64 in a small query":  regexp.MustCompile("%..").ReplaceAllStringFunc(url.QueryEscape(inBase64), strings.ToLower),
		"base64 in JSON":           strings.ReplaceAll(inBase64, "/", `\/`),
		"base64, raw":              base64.RawStdEncoding.EncodeToString([]byte(text)),
		"base64 of URLs":           base64.URLEncoding.EncodeToString([]byte(text)),
		"base64 of URLs, raw":      base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
}

// TestHideInAnySpelling: a server can return a text unchanged, or within JSON, a URL, a page, or base64. All of these spell the secrets differently.
func TestHideInAnySpelling(t *testing.T) {
	for _, text := range []string{`p"w\d/<&>'+=%A`, `p"w\d/<&>'+=%A, which is longer"`, "key??>>~~of-forty-characters/with+all=20%", "a:??>>~~"} {
		for name, spelled := range spellings(t, text) {
			got := secret.Hide("sent "+spelled+" and "+spelled+`\.`, secret.New("unused"), secret.New(text))
			if got != `sent <hidden> and <hidden>\.` {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// TestHideTruncatedText: a server can truncate what it echoes. A few characters of a secret could just as well be something else.
func TestHideTruncatedText(t *testing.T) {
	const start, rest = `MIIE"/<+A>%CAQEA`, "0123456789"
	for name, spelled := range spellings(t, start+"0") {
		if strings.HasPrefix(name, "base64") {
			spelled = regexp.MustCompile("(=|%3[Dd])+$").ReplaceAllString(spelled, "")
		}
		got := secret.Hide("sent "+spelled+"...", secret.New(start+rest))
		if !strings.HasPrefix(got, "sent <hidden>") || len(got) > len("sent <hidden>0...") {
			t.Errorf("%s: %s became %s", name, spelled, got)
		}
	}
	const short = "sent MIIE..."
	if got := secret.Hide(short, secret.New(start+rest)); got != short {
		t.Errorf("%s became %s", short, got)
	}
}

func TestHideLeavesTheRest(t *testing.T) {
	for _, text := range []string{"", "a", `\`, `\u0041`, "%", "%4", "&amp;", "&quot;", strings.Repeat(`\`, 100)} {
		if got := secret.Hide(text, secret.New("B"), secret.New("Bb"), secret.Text{}); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestHideQuoted(t *testing.T) {
	for text, want := range map[string]string{
		`malformed response "a \"b\" c" of "d"`: `malformed response "..." of "..."`,
		`missing colon: "a b`:                   `missing colon: "..."`,
		"no quotes":                             "no quotes",
	} {
		if got := secret.HideQuoted(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

// BenchmarkHide searches for three secrets in a response of 1 MiB without any.
func BenchmarkHide(b *testing.B) {
	key, token := secret.New("MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"), secret.New(strings.Repeat("ggpjbi1/NvcnRoLTQB+v", 100))
	answer := strings.Repeat(`{"type":"instance","used":1,"quota":20,"min":0,"max":1000,"unit":"none"},`, 14_300)
	for b.Loop() {
		secret.Hide(answer, key, token, secret.New("AKIDEXAMPLE012345678"))
	}
}
