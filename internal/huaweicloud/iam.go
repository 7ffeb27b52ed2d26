package huaweicloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ListProjectsAction is the IAM action that FindProject and ListProjects need.
const ListProjectsAction = "iam:projects:listProjects"

// maxIDs is the number of IDs in an error.
const maxIDs = 5

// FindProject returns the project with a name, such as that of a region: GET /v3/projects?name=<name>, "Querying Project Information
// Based on Specified Criteria" of the IAM API Reference. isID reports whether an ID is valid. The error is a *ProjectError if there
// are no or several such projects.
func FindProject(ctx context.Context, iam *Client, name string, isID func(string) bool) (Project, error) {
	var found []Project
	var skipped Skipped
	query := "name=" + url.QueryEscape(name)
	err := listProjects(ctx, iam, query, maxProjectPages, func() { found, skipped = nil, Skipped{} }, func(p Project, err error) {
		if err == nil && !isID(p.ID) {
			err = errors.New("its ID is not a valid project_id")
		}
		switch isIt := p.Name == name; {
		case err != nil && (isIt || p.Name == ""):
			skipped.Add(err)
		case err == nil && isIt:
			found = append(found, p)
		}
	})
	if err != nil {
		return Project{}, err
	}
	if len(found) != 1 {
		var ids []string
		for _, p := range found {
			ids = append(ids, p.ID)
		}
		return Project{}, &ProjectError{URL: iam.BaseURL + projectsPath + "?" + query, Name: name, IDs: ids, Skipped: skipped}
	}
	return found[0], nil
}

// Project is a project in IAM's list.
type Project struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`      // "<region>", or "<region>_<name>" of a subproject
	DomainID looseText `json:"domain_id"` // of the account
	Enabled  *bool     `json:"enabled"`
	IsDomain bool      `json:"is_domain"`
}

// looseText is a text; empty if the value is not a text, which is ignored.
type looseText string

// UnmarshalJSON never fails.
func (t *looseText) UnmarshalJSON(value []byte) error {
	var text string
	_ = json.Unmarshal(value, &text)
	*t = looseText(text)
	return nil
}

// Region returns the name up to the first underscore. For a project without a region, such as OBS's "MOS", it is not a region name.
func (p Project) Region() string {
	region, _, _ := strings.Cut(p.Name, "_")
	return region
}

// regionName matches the names of all regions, but not OBS's project "MOS".
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)

// Serves reports whether the project belongs to a region and is enabled.
func (p Project) Serves() bool {
	return regionName.MatchString(p.Region()) && !p.IsDomain && (p.Enabled == nil || *p.Enabled)
}

const (
	projectsPath    = "/v3/projects"
	ownProjectsPath = "/v3/auth/projects" // the caller's own projects, for which IAM requires no permission

	projectsPerPage = 200
	maxPage         = 8 << 20 // bytes; limits the cost of absurdly long names
	maxProjectPages = 200     // unless more projects are selected
	maxListed       = 40_000  // projects in all pages of a list
	maxLink         = 4096    // bytes of the link to the next page

	pageTimeout = 10 * time.Second // per page; a list of 10,000 projects may take more than half a minute

	// ListTimeout is the timeout of a whole list.
	ListTimeout = 200 * pageTimeout
)

// ProjectList is IAM's list of projects.
type ProjectList struct {
	Projects []Project // that are kept
	Seen     int       // all, including invalid ones
	Skipped  Skipped   // invalid or unusable ones
	DomainID string    // of the account; empty if the projects do not have it, or differ
}

// ListProjects returns the projects that the account can see: GET /v3/projects, page by page, "Querying Project Information Based on
// Specified Criteria" of the IAM API Reference. Each page has a separate timeout. A list has at most 200 pages, or more if wanted
// requires more. keep reports whether to keep a project. It is also called for an invalid element, with the reason and the known
// fields, and returns the reason if the element counts as skipped.
func ListProjects(ctx context.Context, iam *Client, wanted int, keep func(p Project, err error) (bool, error)) (ProjectList, error) {
	var list ProjectList
	domains := map[string]bool{}
	reset := func() { list, domains = ProjectList{}, map[string]bool{} }
	err := listProjects(ctx, iam, pageQuery(1), max(maxProjectPages, wanted), reset, func(p Project, err error) {
		list.Seen++
		if err == nil && p.DomainID != "" && len(domains) < 2 {
			domains[string(p.DomainID)], list.DomainID = true, string(p.DomainID)
		}
		kept, err := keep(p, err)
		if err != nil {
			list.Skipped.Add(err)
		} else if kept {
			list.Projects = append(list.Projects, Project{ID: p.ID, Name: p.Name})
		}
	})
	if err != nil {
		return ProjectList{}, err
	}
	if len(domains) > 1 {
		list.DomainID = ""
	}
	return list, nil
}

// listProjects calls add for each project of IAM's list that query selects. If that list is forbidden, it calls reset, and then add
// for each of the caller's own projects, whose list needs no permission. If that fails as well, it returns the first error, which
// names the action to grant.
func listProjects(ctx context.Context, iam *Client, query string, maxPages int, reset func(), add func(Project, error)) error {
	err := eachProject(ctx, iam, projectsPath, query, maxPages, add)
	if Reason(err) != ReasonForbidden {
		return err
	}
	reset()
	own := eachProject(ctx, iam, ownProjectsPath, pageQuery(1), maxPages, add)
	if own == nil || Reason(own) == ReasonThrottled {
		return own
	}
	return err
}

// eachProject calls add for each element of a list of projects, with an error if it is invalid. It reads numbered pages up to the
// first one that is not full. If a page links to the next one, it follows the links instead.
func eachProject(ctx context.Context, iam *Client, path, query string, maxPages int, add func(Project, error)) error {
	seen, ids, byNumber := seenProjects{}, seenProjects{}, query == pageQuery(1)
	var answer *Answer
	var bad error // the first one
	good := false
	for page := 1; page <= maxPages && len(seen) < maxListed; page++ {
		list, err := getProjects(ctx, iam, path+"?"+query)
		if err != nil {
			return err
		}
		answer = list.Answer
		known := len(seen)
		for i, element := range list.elements {
			p, err := readProject(element)
			is := p.ID + " " + p.Name
			if err != nil { // its position distinguishes it from equal ones
				is = fmt.Sprintf("%d %s", i, element)
			}
			if !seen.add(is) {
				continue
			}
			if err == nil && !ids.add(p.ID) {
				err = errors.New("another project has the same ID")
			}
			if err != nil {
				err = fmt.Errorf("project %d of page %d: %w", i+1, page, err)
				bad = cmp.Or(bad, err)
			}
			good = good || err == nil
			add(p, err)
		}
		next, err := list.next()
		repeats := len(list.elements) > 0 && len(seen) == known // a server without paging returns the same list again
		switch {
		case err != nil:
			return answer.Malformed(err.Error())
		case next != "" && !repeats && seen.add("?"+next):
			query, byNumber = next, false
		case next == "" && !repeats && byNumber && len(list.elements) >= projectsPerPage:
			query = pageQuery(page + 1)
		case bad != nil && !good:
			return answer.Malformed("all of its projects are invalid: " + bad.Error())
		default:
			return nil
		}
	}
	return answer.Malformed(fmt.Sprintf("the list of projects has more than %d elements", len(seen)))
}

func pageQuery(page int) string { return fmt.Sprintf("page=%d&per_page=%d", page, projectsPerPage) }

// seenProjects are hashes of the elements of a list. IDs may be long.
type seenProjects map[uint64]bool

var seed = maphash.MakeSeed()

// add reports whether a text is new.
func (s seenProjects) add(text string) bool {
	hash := maphash.String(seed, text)
	known := s[hash]
	s[hash] = true
	return !known
}

// readProject parses an element of a list. If a field has the wrong type, it returns the others with an error, which quotes nothing
// of the element.
func readProject(element json.RawMessage) (Project, error) {
	var p Project
	err := json.Unmarshal(element, &p)
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	if isWrong {
		p.Enabled = nil // encoding/json sets it to false if the type is wrong
	}
	switch {
	case isWrong && wrong.Field != "":
		kind, _, _ := strings.Cut(wrong.Value, " ") // encoding/json may append the number
		return p, fmt.Errorf("its %s has the wrong type %s", wrong.Field, kind)
	case err != nil:
		return Project{}, errors.New("it is not a project")
	case p.ID == "":
		return p, errors.New("it has no ID")
	case p.Name == "":
		return p, errors.New("it has no name")
	default:
		return p, nil
	}
}

// projectPage is one page of a list of projects.
type projectPage struct {
	*Answer

	elements []json.RawMessage
	link     string // to the next page; empty if there is none
}

// next returns the query of the next page; empty if there is none. The rest of the link is ignored, so that no request is sent to
// another host.
func (p projectPage) next() (string, error) {
	if p.link == "" {
		return "", nil
	}
	link, err := url.Parse(p.link)
	if err != nil || len(p.link) > maxLink || len(link.Query()) == 0 {
		return "", errors.New("the link to its next page is not a URL with a query")
	}
	return link.Query().Encode(), nil
}

// getProjects returns one page.
func getProjects(ctx context.Context, iam *Client, path string) (projectPage, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	large := *iam
	large.maxBody = maxPage
	answer, err := large.Get(ctx, path)
	if err != nil {
		return projectPage{}, err
	}
	var list struct {
		Projects *[]json.RawMessage `json:"projects"`
		Links    json.RawMessage    `json:"links"`
	}
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return projectPage{}, answer.Malformed(err.Error())
	}
	if list.Projects == nil {
		return projectPage{}, answer.Malformed("it has no list of projects")
	}
	var links struct {
		Next string `json:"next"`
	}
	_ = json.Unmarshal(list.Links, &links) // links that are not text are ignored
	return projectPage{answer, *list.Projects, links.Next}, nil
}
