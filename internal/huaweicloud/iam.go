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

// maxIDs are as many as an error may name.
const maxIDs = 5

// FindProject asks IAM for the id of a region's project, which bears the region's name: GET /v3/projects?name=<region>, "Querying
// Project Information Based on Specified Criteria" of the IAM API Reference. None or several are a *ProjectError.
func FindProject(ctx context.Context, iam *Client, region string) (string, error) {
	path := "/v3/projects?name=" + url.QueryEscape(region)
	answer, err := iam.Get(ctx, path)
	if err != nil {
		return "", err
	}
	projects, err := readProjects(answer)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, p := range projects {
		if p.Name == region && p.ID != "" && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
		if len(ids) > maxIDs {
			break
		}
	}
	if len(ids) != 1 {
		for i, id := range ids {
			ids[i] = OneLine(id)
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

// Region is the name up to the first underscore. Of a project that belongs to no region, such as OBS's "MOS", it is no region's name.
func (p Project) Region() string {
	region, _, _ := strings.Cut(p.Name, "_")
	return region
}

// regionName is the form that the names of all regions have; a project of OBS's, "MOS", has another.
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)

// Serves tells whether the project is one of a region, and in use.
func (p Project) Serves() bool {
	return regionName.MatchString(p.Region()) && !p.IsDomain && (p.Enabled == nil || *p.Enabled)
}

const (
	projectsPerPage = 200 // with long descriptions, more would not fit into an answer of 1 MiB
	maxProjectPages = 200

	// pageTimeout bounds each page of a list. A list takes as long as its pages: with 10,000 projects, some take more than half a minute.
	pageTimeout = 10 * time.Second

	// ListTimeout bounds a whole list, of as many pages as there may be.
	ListTimeout = maxProjectPages * pageTimeout
)

// ListProjects asks IAM for all projects that the account may see: GET /v3/projects, page by page, "Querying Project Information Based on
// Specified Criteria" of the IAM API Reference. Each page has a timeout of its own.
func ListProjects(ctx context.Context, iam *Client) ([]Project, error) {
	var all []Project
	seen := map[string]bool{}
	var answer *Answer
	for page := range maxProjectPages {
		var err error
		if answer, err = getPage(ctx, iam, page+1); err != nil {
			return nil, err
		}
		projects, err := readProjects(answer)
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
		if len(projects) < projectsPerPage || len(all) == known { // a server that knows no pages repeats itself
			return all, nil
		}
	}
	return nil, answer.Malformed(fmt.Sprintf("the list of projects goes on after %d", len(all)))
}

func getPage(ctx context.Context, iam *Client, page int) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return iam.Get(ctx, fmt.Sprintf("/v3/projects?page=%d&per_page=%d", page, projectsPerPage))
}

func readProjects(answer *Answer) ([]Project, error) {
	var list struct {
		Projects *[]Project `json:"projects"`
	}
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return nil, answer.Malformed(err.Error())
	}
	if list.Projects == nil {
		return nil, answer.Malformed("there is no list of projects in it")
	}
	return *list.Projects, nil
}
