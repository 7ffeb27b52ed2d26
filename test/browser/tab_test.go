package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is the time limit of a test in its tab. It is far more than needed, for slow machines.
const patience = 2 * time.Minute

// tab is a tab of the browser. Errors of scripts, of the network, or of the page's security policy fail the test.
type tab struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens an empty tab.
func newTab(t *testing.T) *tab {
	t.Helper()
	b := new(tab)
	ctx, closeTab := chromedp.NewContext(chromium, chromedp.WithListener(b.listen))
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	timed, cancel := context.WithTimeout(ctx, patience)
	b.ctx = timed
	t.Cleanup(func() {
		for _, complaint := range b.complaint(t) {
			t.Errorf("the browser reports: %s", complaint)
		}
		cancel()
		closeTab()
	})
	return b
}

// show opens a page in a tab with the width of a desktop screen.
func show(t *testing.T, url string) *tab {
	t.Helper()
	b := newTab(t)
	b.resize(t, 1280)
	b.open(t, url)
	return b
}

func (b *tab) listen(event any) {
	complaint := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		complaint = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		complaint = fmt.Sprintf("console.%s", e.Type)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, complaint)
}

// complaint returns the errors that the browser has reported, and clears them.
func (b *tab) complaint(t *testing.T) []string {
	t.Helper()
	eval[int](t, b, "0") // the response comes after all errors that the browser reported before
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.complaints
	b.complaints = nil
	return all
}

func (b *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// call sends a command of the DevTools protocol.
func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// eval evaluates an expression in the page, regardless of the page's security policy.
func eval[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// open shows a page.
func (b *tab) open(t *testing.T, url string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url))
}

// follow runs an action that opens another page, and waits for the page.
func (b *tab) follow(t *testing.T, action chromedp.Action[chromedp.Void]) {
	t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, action); err != nil {
		t.Fatal(err)
	}
}

// resize sets the width of the screen.
func (b *tab) resize(t *testing.T, width int64) {
	t.Helper()
	b.do(t, chromedp.EmulateViewport(width, 900))
}

// prefer sets the user's color scheme: light or dark.
func (b *tab) prefer(t *testing.T, scheme string) {
	t.Helper()
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// texts returns the visible texts of the elements that a selector matches.
func (b *tab) texts(t *testing.T, selector string) []string {
	t.Helper()
	found := eval[[]string](t, b, fmt.Sprintf("Array.from(document.querySelectorAll(%q), e => e.checkVisibility() ? e.innerText.trim() : '')", selector))
	return slices.DeleteFunc(found, func(text string) bool { return text == "" })
}

// mustFit asserts that the page does not scroll horizontally.
func (b *tab) mustFit(t *testing.T) {
	t.Helper()
	if over := eval[int](t, b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("%d wide: the page is %d wider than the screen", eval[int](t, b, "innerWidth"), over)
	}
}

func (b *tab) mustBeAccessible(t *testing.T) {
	t.Helper()
	if found := b.inaccessible(t); found != "" {
		t.Errorf("%d wide: axe reports\n%s", eval[int](t, b, "innerWidth"), found)
	}
}

// inaccessible returns the problems that axe reports for the current page.
func (b *tab) inaccessible(t *testing.T) string {
	t.Helper()
	eval[chromedp.Void](t, b, axe)
	found := eval[[]string](t, b, `axe.run().then(found => found.violations.flatMap(
		rule => rule.nodes.map(node => rule.id + ": " + node.html.slice(0, 200) + " " + node.failureSummary)))`)
	return strings.Join(found, "\n")
}
