package huaweicloud

import (
	"context"
	"encoding/json"
	"net/url"
)

// ListProjectsAction is the IAM action to grant for FindProject.
const ListProjectsAction = "iam:projects:listProjects"

// FindProject asks IAM for the id of a region's project, which bears the region's name: GET /v3/projects?name=<region>, "Querying
// Project Information Based on Specified Criteria" of the IAM API Reference. None or several are a *ProjectError.
func FindProject(ctx context.Context, iam *Client, region string) (string, error) {
	path := "/v3/projects?name=" + url.QueryEscape(region)
	answer, err := iam.Get(ctx, path)
	if err != nil {
		return "", err
	}
	var list struct {
		Projects *[]struct{ ID, Name string }
	}
	if err := json.Unmarshal(answer.Body, &list); err != nil {
		return "", answer.Malformed(err.Error())
	}
	if list.Projects == nil {
		return "", answer.Malformed("there is no list of projects in it")
	}
	var ids []string
	for _, p := range *list.Projects {
		if p.Name == region && p.ID != "" {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) != 1 {
		return "", &ProjectError{URL: iam.BaseURL + path, Region: region, IDs: ids}
	}
	return ids[0], nil
}
