package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"github.com/go-kit/log/level"

	"cloud_quota_exporter/internal/fleet"
)

const probePath = "/probe"

// probe serves the quota metrics of the project that the parameter target names, for a scrape of its own.
func (h *handler) probe(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	query, err := parseQuery(r, "target")
	targets := query["target"]
	if err == nil && len(targets) != 1 {
		targets = []string{""} // which is no project, and told so
	}
	if err == nil {
		err = h.checkProjects(ctx, "target", targets)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.scrape(ctx, w, r, selection{Filter: fleet.Filter{Projects: targets}})
}

// targetGroup is an entry of Prometheus's HTTP service discovery.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// address is a host name or an IP address, and perhaps a port.
var address = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// discovery tells Prometheus to scrape each project by a probe of its own, at the address by which it asks. Until all projects are known
// it tells nothing, since Prometheus would drop the targets that a short list lacks.
func (h *handler) discovery(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout(r))
	defer cancel()
	if !address.MatchString(r.Host) {
		h.refuse(w, errors.New("the Host of the request is no address that could be scraped; ask by host and port"))
		return
	}
	h.Fleet.Discover(ctx)
	projects, incomplete := h.Fleet.Known()
	if len(incomplete) > 0 {
		h.refuse(w, incompleteError(incomplete))
		return
	}
	groups := []targetGroup{}
	for _, p := range projects {
		groups = append(groups, targetGroup{
			Targets: []string{r.Host},
			Labels: map[string]string{
				"__metrics_path__":              probePath,
				"__param_target":                p.Label,
				"instance":                      p.Label,
				"__meta_cloud_quota_project":    p.Label,
				"__meta_cloud_quota_project_id": p.ID,
				"__meta_cloud_quota_region":     p.Region,
				"__meta_cloud_quota_account":    p.Account,
			},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")               // it holds what the client calls this host: not to be kept for others
	if err := json.NewEncoder(w).Encode(groups); err != nil { // who asked has gone
		_ = level.Debug(h.Logger).Log("msg", "service discovery was not answered", "err", err)
	}
}
