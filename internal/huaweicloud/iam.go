package huaweicloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ListProjectsAction is the IAM action to grant for FindProject and ListProjects.
const ListProjectsAction = "iam:projects:listProjects"

// maxIDs is how many ids an error shows.
const maxIDs = 5

// FindProject returns the id of the project that has the name of a region, or another one: GET /v3/projects?name=<name>, "Querying Project Information Based on
// Specified Criteria" of the IAM API Reference. The error is a *ProjectError if there is none or if there are several.
func FindProject(ctx context.Context, iam *Client, region string) (string, error) {
	path := "/v3/projects?name=" + url.QueryEscape(region)
	_, projects, err := getProjects(ctx, iam, path)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, p := range projects {
		if p.Name == region && p.ID != "" && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) != 1 {
		for i, id := range ids {
			ids[i] = oneLine(id)
		}
		return "", &ProjectError{URL: iam.BaseURL + path, Region: region, IDs: ids}
	}
	return ids[0], nil
}

// Project is a project as IAM lists it.
type Project struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // "<region>", or "<region>_<name>" of a sub-project
	Enabled  *bool  `json:"enabled"`
	IsDomain bool   `json:"is_domain"`
}

// Region returns the name up to the first underscore. For a project that belongs to no region, such as OBS's "MOS", it is not the name of a region.
func (p Project) Region() string {
	region, _, _ := strings.Cut(p.Name, "_")
	return region
}

// regionName matches the names of all regions, but not OBS's project "MOS".
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)

// Serves returns whether the project belongs to a region and is enabled.
func (p Project) Serves() bool {
	return regionName.MatchString(p.Region()) && !p.IsDomain && (p.Enabled == nil || *p.Enabled)
}

const (
	projectsPerPage = 200 // with long descriptions, more do not fit into 1 MiB
	maxProjectPages = 200

	pageTimeout = 10 * time.Second // for each page; a list of 10,000 projects may take more than half a minute

	// ListTimeout is for a whole list with as many pages as there may be.
	ListTimeout = maxProjectPages * pageTimeout
)

// ListProjects returns all projects that the account may see: GET /v3/projects, page by page, "Querying Project Information Based on Specified Criteria"
// of the IAM API Reference. Each page has its own timeout.
func ListProjects(ctx context.Context, iam *Client) ([]Project, error) {
	var all []Project
	seen := map[string]bool{}
	var answer *Answer
	for page := range maxProjectPages {
		pageCtx, cancel := context.WithTimeout(ctx, pageTimeout)
		var projects []Project
		var err error
		answer, projects, err = getProjects(pageCtx, iam, fmt.Sprintf("/v3/projects?page=%d&per_page=%d", page+1, projectsPerPage))
		cancel()
		if err != nil {
			return nil, err
		}
		known := len(all)
		for _, p := range projects {
			if !seen[p.ID] && p.ID != "" {
				seen[p.ID] = true
				all = append(all, p)
			}
		}
		if len(projects) < projectsPerPage || len(all) == known { // a server without pages returns the same list again
			return all, nil
		}
	}
	return nil, answer.Malformed(fmt.Sprintf("the list of projects goes on after %d", len(all)))
}

func getProjects(ctx context.Context, iam *Client, path string) (*Answer, []Project, error) {
	answer, err := iam.Get(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Projects *[]Project `json:"projects"`
	}
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return nil, nil, answer.Malformed(err.Error())
	}
	if list.Projects == nil {
		return nil, nil, answer.Malformed("there is no list of projects in it")
	}
	return answer, *list.Projects, nil
}
