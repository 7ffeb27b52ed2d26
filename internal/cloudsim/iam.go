package cloudsim

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// iamProject is a project as IAM lists it.
type iamProject struct {
	IsDomain    bool              `json:"is_domain"`
	Description string            `json:"description"`
	Links       map[string]string `json:"links"`
	Enabled     bool              `json:"enabled"`
	ID          string            `json:"id"`
	ParentID    string            `json:"parent_id"`
	DomainID    string            `json:"domain_id"`
	Name        string            `json:"name"`
}

// listProjects answers IAM's GET /v3/projects ("Querying Project Information") with the projects of the caller.
func (c *Cloud) listProjects(q Call) Answer {
	query := q.URL.Query()
	base := "http://" + q.Host
	if q.TLS != nil {
		base = "https://" + q.Host
	}
	projects := slices.DeleteFunc(c.iamProjects(q.caller, base+"/v3/projects/"), func(p iamProject) bool {
		return query.Has("name") && p.Name != query.Get("name") ||
			query.Has("enabled") && strconv.FormatBool(p.Enabled) != query.Get("enabled")
	})
	page, pageErr := number(query, "page", 1, 1, math.MaxInt32)
	size, sizeErr := number(query, "per_page", len(projects), 1, 5000)
	if pageErr != nil || sizeErr != nil {
		return q.ServiceError(http.StatusBadRequest, "page or per_page is out of range")
	}
	start := min((page-1)*size, len(projects))
	return Answer{Status: http.StatusOK, Body: JSON(map[string]any{
		"links":    map[string]any{"next": nil, "previous": nil, "self": base + q.URL.RequestURI()},
		"projects": projects[start:min(start+size, len(projects))],
	})}
}

// iamProjects lists the projects of an account, with links that begin with base.
func (c *Cloud) iamProjects(account, base string) []iamProject {
	var owned []Project
	for _, a := range c.Accounts() {
		if a.Name == account {
			owned = a.Projects
		}
	}
	regions := map[string]string{} // IDs of the projects that have the name of their region
	for _, p := range owned {
		if p.Name == p.Region {
			regions[p.Region] = p.ID
		}
	}
	domain, projects := ID(account), []iamProject{}
	for _, p := range owned {
		parent := domain
		if regional, found := regions[p.Region]; found && regional != p.ID {
			parent = regional
		}
		projects = append(projects, iamProject{
			Links: map[string]string{"self": base + p.ID}, Enabled: !p.Disabled, ID: p.ID, ParentID: parent, DomainID: domain, Name: p.Name,
		})
	}
	return projects
}

// number reads a parameter of the query. If it is missing, number returns a default.
func number(query url.Values, name string, missing, least, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && (n < least || n > most) {
		err = strconv.ErrRange
	}
	return n, err
}
