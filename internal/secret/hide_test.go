package secret_test

import (
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strings"
	"testing"

	"cloud_quota_exporter/internal/secret"
)

// awkward holds what the spellings differ in. Keys and passwords are ASCII without blanks.
const awkward = `p"w\d/<&>'+=%A`

func inJSON(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted[1 : len(quoted)-1])
}

// TestHideInAnySpelling: what was sent may come back within JSON, a URL or a page.
func TestHideInAnySpelling(t *testing.T) {
	var entities, unicode strings.Builder
	for _, c := range []byte(awkward) {
		fmt.Fprintf(&entities, "&#%d;", c)
		fmt.Fprintf(&unicode, `\u%04X`, c)
	}
	for name, spelled := range map[string]string{
		"as it is":                awkward,
		"JSON":                    inJSON(t, awkward),
		"JSON, HTML left alone":   strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(awkward),
		"JSON, slashes escaped":   strings.ReplaceAll(inJSON(t, awkward), "/", `\/`),
		"JSON in numbers":         unicode.String(),
		"JSON within JSON":        inJSON(t, inJSON(t, awkward)),
		"JSON thrice":             inJSON(t, inJSON(t, inJSON(t, awkward))),
		"a query":                 url.QueryEscape(awkward),
		"a path":                  url.PathEscape(awkward),
		"a query in small digits": strings.ReplaceAll(url.QueryEscape(awkward), "%3C", "%3c"),
		"JSON in a query":         url.QueryEscape(inJSON(t, awkward)),
		"JSON in HTML":            html.EscapeString(inJSON(t, awkward)),
		"JSON in JSON in a query": url.QueryEscape(inJSON(t, inJSON(t, awkward))),
		"HTML":                    html.EscapeString(awkward),
		"HTML of templates":       template.HTMLEscapeString(awkward),
		"HTML in numbers":         entities.String(),
	} {
		got := secret.Hide("sent "+spelled+" and "+spelled+`\.`, secret.New("unused"), secret.New(awkward))
		if got != `sent <hidden> and <hidden>\.` {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestHideWhatIsCutOff: a server may shorten what it echoes. A few characters of a secret may as well be something else.
func TestHideWhatIsCutOff(t *testing.T) {
	long := secret.New("MIIEpAIBAAKCAQEA0123456789")
	for text, want := range map[string]string{
		"sent MIIEpAIBAAKCAQEA0123456": "sent <hidden>",
		"sent MIIEpAIBAAKCAQEA...":     "sent <hidden>...",
		"sent MIIEpAIBAAKCAQEAx":       "sent <hidden>x",
		"sent MIIEpAIBAAKCAQE...":      "sent MIIEpAIBAAKCAQE...",
	} {
		if got := secret.Hide(text, long); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

func TestHideLeavesTheRest(t *testing.T) {
	for _, text := range []string{"", "a", `\`, `\u00`, `\u0041`, `\u00zz`, "%", "%4", "%zz", "&", "&amp;", "&amp", "&quot;", strings.Repeat(`\`, 100)} {
		if got := secret.Hide(text, secret.New("B"), secret.New("Bb"), secret.Text{}); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
