package cloudsim

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

// listProjects handles IAM's GET /v3/projects ("Querying Project Information") and GET /v3/auth/projects with the projects of the caller.
func (c *Cloud) listProjects(q Call) Answer {
	query := q.URL.Query()
	base := "http://" + q.Host
	if q.TLS != nil {
		base = "https://" + q.Host
	}
	owned, regional := c.projectsOf(q.caller)
	domain, projects := ID(q.caller), []any{}
	for _, p := range owned {
		if query.Has("name") && query.Get("name") != p.Name || query.Has("enabled") && query.Get("enabled") != strconv.FormatBool(!p.Disabled) {
			continue
		}
		parent, found := regional[p.Region]
		if !found || parent == p.ID {
			parent = domain
		}
		projects = append(projects, map[string]any{
			"is_domain": false, "description": "", "links": map[string]string{"self": base + "/v3/projects/" + p.ID}, "enabled": !p.Disabled,
			"id": p.ID, "parent_id": parent, "domain_id": domain, "name": p.Name,
		})
	}
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

// projectsOf returns the projects of an account, and by region the IDs of those that have its name.
func (c *Cloud) projectsOf(account string) (owned []Project, regional map[string]string) {
	regional = map[string]string{}
	owned = c.account(account).Projects
	for _, p := range owned {
		if p.Name == p.Region {
			regional[p.Region] = p.ID
		}
	}
	return owned, regional
}

// listAuditInstances handles DBSS's GET /v2/{project_id}/audit/instances ("Query the audit instance list").
func (*Cloud) listAuditInstances(q Call) Answer {
	query, total := q.URL.Query(), q.project.AuditInstances
	offset, offsetErr := number(query, "offset", 0, 0, math.MaxInt32)
	limit, limitErr := number(query, "limit", 100, 1, 1000)
	if offsetErr != nil || limitErr != nil {
		return q.ServiceError(http.StatusBadRequest, "offset or limit is out of range")
	}
	instances := []any{}
	for i := offset; i < min(offset+limit, total); i++ {
		name := fmt.Sprintf("audit-%04d", i+1)
		instances = append(instances, map[string]any{
			"id": ID(q.ProjectID + name), "name": name, "status": "ACTIVE", "charge_model": "Demand", "region": q.project.Region, "cpu": 4, "ram": 16384,
		})
	}
	return Answer{Status: http.StatusOK, Body: JSON(map[string]any{"instances": instances, "total": total})}
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
