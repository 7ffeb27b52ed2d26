package cloudsim

import (
	"fmt"
	"maps"
	"net/http"
)

// Requests returns how many requests were received, refused ones too, by method and path with the id of the project replaced:
// "GET /v3/{project_id}/quotas".
func (c *Cloud) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.received)
}

// ProjectRequests returns how many requests were received for one project, by the name of the service. Both of DBSS's calls count
// as "dbss".
func (c *Cloud) ProjectRequests(projectID string) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := maps.Clone(c.byProject[projectID])
	if counts == nil {
		counts = map[string]int{}
	}
	return counts
}

// MaxInFlight returns the most requests that were served at the same time since New.
func (c *Cloud) MaxInFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mostInFlight
}

// receive takes a request in: which API it is for, the counters, and the faults that are meant for it.
func (c *Cloud) receive(r *http.Request) (call, []candidate) {
	q := c.routes.newCall(r, c.regionOf)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	q.id = fmt.Sprintf("%032x", c.serial)
	c.inFlight++
	c.mostInFlight = max(c.mostInFlight, c.inFlight)
	c.received[r.Method+" "+q.path]++
	if q.projectID != "" {
		if c.byProject[q.projectID] == nil {
			c.byProject[q.projectID] = map[string]int{}
		}
		c.byProject[q.projectID][q.api.service]++
	}
	return q, c.candidates(q)
}

// regionOf returns the region of a project; empty if there is no such project.
func (c *Cloud) regionOf(projectID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.projects[projectID].Region
}

func (c *Cloud) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
}
