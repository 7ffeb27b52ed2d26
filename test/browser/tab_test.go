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

// patience is for all that a test does in its tab. It is far more than is ever needed, for slow machines.
const patience = 2 * time.Minute

// tab is a tab of the browser. What the browser complains of while it is open (errors of scripts, of the network, of the page's security
// policy) fails the test.
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
			t.Errorf("the browser complains: %s", complaint)
		}
		cancel()
		closeTab()
	})
	return b
}

// show opens a page in a tab as wide as that of a desk.
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

// complaint returns what the browser complained of so far, and forgets it.
func (b *tab) complaint(t *testing.T) []string {
	t.Helper()
	eval[int](t, b, "0") // its answer comes after all that the browser said before
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

// call sends a command of the browser's protocol.
func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// eval evaluates an expression in the page, whatever the page's security policy says.
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

// follow does what leads to another page, and waits for that.
func (b *tab) follow(t *testing.T, action chromedp.Action[chromedp.Void]) {
	t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, action); err != nil {
		t.Fatal(err)
	}
}

// resize makes the screen so wide.
func (b *tab) resize(t *testing.T, width int64) {
	t.Helper()
	b.do(t, chromedp.EmulateViewport(width, 900))
}

// prefer sets the colour scheme that the user has chosen: light or dark.
func (b *tab) prefer(t *testing.T, scheme string) {
	t.Helper()
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// texts returns the texts that are seen of the elements that a selector finds.
func (b *tab) texts(t *testing.T, selector string) []string {
	t.Helper()
	found := eval[[]string](t, b, fmt.Sprintf("Array.from(document.querySelectorAll(%q), e => e.checkVisibility() ? e.innerText.trim() : '')", selector))
	return slices.DeleteFunc(found, func(text string) bool { return text == "" })
}

// mustFit asserts that nobody has to scroll the page sideways.
func (b *tab) mustFit(t *testing.T) {
	t.Helper()
	if over := eval[int](t, b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("%d wide: the page is %d wider than the screen", eval[int](t, b, "innerWidth"), over)
	}
}

func (b *tab) mustBeAccessible(t *testing.T) {
	t.Helper()
	if found := b.inaccessible(t); found != "" {
		t.Errorf("%d wide: axe finds\n%s", eval[int](t, b, "innerWidth"), found)
	}
}

// inaccessible returns what axe finds wrong with the page as it is now.
func (b *tab) inaccessible(t *testing.T) string {
	t.Helper()
	eval[chromedp.Void](t, b, axe)
	found := eval[[]string](t, b, `axe.run().then(found => found.violations.flatMap(
		rule => rule.nodes.map(node => rule.id + ": " + node.html.slice(0, 200) + " " + node.failureSummary)))`)
	return strings.Join(found, "\n")
}
