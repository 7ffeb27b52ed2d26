package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cloud_quota_exporter/internal/fleet"
)

// request holds the filters and the pages that a client requests from the status page.
type request struct {
	fleet.Filter

	state string   // of the quotas
	words []string // in lower case, all of which must occur in a row
	pages map[string]int
	query url.Values // without empty parameters
}

// The lists of the page, each with its own pages. Their lengths limit the size of the page.
var (
	listOfProblems = list{"problem", 30}
	listOfQuotas   = list{"quota", 400}
	listOfSources  = list{"project", 100}
	listOfAccounts = list{"account", 100}
)

// list is a part of the status page that can be long.
type list struct {
	Name string // name of an entry
	size int    // entries per page
}

// parameter returns the name of the parameter with the number of the list's page.
func (l list) parameter() string { return l.Name + "_page" }

// maxQuery is the maximum length of the parameters of the status page, in bytes. Each of its links repeats them, and each word is searched in each quota.
const maxQuery = 4000

// pageRequest parses the parameters of the status page. An empty one, as sent by a form, is ignored.
func (h *handler) pageRequest(ctx context.Context, r *http.Request) (request, error) {
	known := []string{"project", "service", "state", "filter"}
	lists := []list{listOfProblems, listOfQuotas, listOfSources, listOfAccounts}
	for _, l := range lists {
		known = append(known, l.parameter())
	}
	if n := len(r.URL.RawQuery); n > maxQuery {
		return request{}, fmt.Errorf("the parameters have %d bytes; use at most %d", n, maxQuery)
	}
	query, err := parseQuery(r, known...)
	if err != nil {
		return request{}, err
	}
	for name, values := range query {
		query[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	}
	maps.DeleteFunc(query, func(_ string, values []string) bool { return len(values) == 0 })
	wanted := request{
		Filter: fleet.Filter{Services: query["service"], Projects: query["project"]}, state: query.Get("state"),
		words: slices.Compact(slices.Sorted(strings.FieldsSeq(strings.ToLower(query.Get("filter"))))), pages: map[string]int{}, query: query,
	}
	for _, l := range lists {
		if text := query.Get(l.parameter()); text != "" {
			if wanted.pages[l.Name], err = strconv.Atoi(text); err != nil || wanted.pages[l.Name] < 1 {
				return request{}, fmt.Errorf("%s is not a page number; expected 1 or more", l.parameter())
			}
		}
	}
	if err := h.Fleet.CheckServices("service", wanted.Services); err != nil {
		return request{}, err
	}
	return wanted, h.checkProjects(ctx, "project", wanted.Projects)
}

// isFiltered reports whether something is not on any page.
func (r request) isFiltered() bool { return !isAll(r.Filter) || r.state != "" || len(r.words) > 0 }

// span is the position of the page in a list, and the links to its other pages.
type span struct {
	list
	First, Last, All int // the first entry is 1
	Links            []link
}

// link is a link and its text.
type link struct{ Text, To string }

// span returns the position of the requested page in a list, or of the last one if there are fewer. target is the part of the page with the list.
func (r request) span(l list, all int, target string) span {
	last := max((all+l.size-1)/l.size, 1)
	page := min(max(r.pages[l.Name], 1), last)
	s := span{list: l, First: (page-1)*l.size + 1, Last: min(page*l.size, all), All: all}
	to := func(text string, n int) {
		if n >= 1 && n <= last && n != page {
			s.Links = append(s.Links, link{text, r.with(l.parameter(), strconv.Itoa(n)) + "#" + target})
		}
	}
	if last > 1 {
		to("First", 1)
		to("Previous", page-1)
		to("Next", page+1)
		to("Last", last)
	}
	return s
}

// with returns a relative link to the same page with another value of a parameter.
func (r request) with(name, value string) string {
	query := maps.Clone(r.query)
	query.Set(name, value)
	return "?" + query.Encode()
}

// only returns a relative link to the page with the same projects and services, and no other parameter except one.
func (r request) only(name, value string) string {
	return request{query: url.Values{"project": r.Projects, "service": r.Services}}.with(name, value)
}

// IsPart reports whether there are other pages.
func (s span) IsPart() bool { return len(s.Links) > 0 }

// entries returns those on the page.
func entries[T any](s span, all []T) []T { return all[s.First-1 : s.Last] }
