package cloudsim

import (
	"math"
	"net/http"
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

// listProjects answers IAM's GET /v3/projects ("Querying Project Information") with the projects of whoever signed.
func (c *Cloud) listProjects(q call) answer {
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
		return serviceError(q, http.StatusBadRequest, "page or per_page is out of range")
	}
	start := min((page-1)*size, len(projects))
	return answer{status: http.StatusOK, body: encode(map[string]any{
		"links":    map[string]any{"next": nil, "previous": nil, "self": base + q.URL.RequestURI()},
		"projects": projects[start:min(start+size, len(projects))],
	})}
}

// iamProjects lists the projects of an account, with links that begin with base.
func (c *Cloud) iamProjects(owner *account, base string) []iamProject {
	c.mu.Lock()
	defer c.mu.Unlock()
	domain := hexID(owner.Name)
	regions := map[string]string{} // ids of the projects that a region has of its own
	for _, id := range owner.projectIDs {
		if p := c.projects[id]; p.Name == p.Region {
			regions[p.Region] = id
		}
	}
	projects := []iamProject{}
	for _, id := range owner.projectIDs {
		p := c.projects[id].Project
		parent := domain
		if regional, found := regions[p.Region]; found && regional != id {
			parent = regional
		}
		projects = append(projects, iamProject{
			Links: map[string]string{"self": base + id}, Enabled: !p.Disabled, ID: id, ParentID: parent, DomainID: domain, Name: p.Name,
		})
	}
	return projects
}
