package cloudsim

import (
	"errors"
	"strings"
)

// projectParameter is the part of an API's path for which the id of a project stands in a request.
const projectParameter = "{project_id}"

func namesProject(path string) bool { return strings.Contains(path, projectParameter) }

// routes finds APIs by path. It does not change once it is made.
type routes struct {
	apis []api
	root *segment
}

// segment is a part of a path.
type segment struct {
	below   map[string]*segment
	project *segment // below the id of a project
	apis    []*api   // whose paths end here
}

// match is an API with the path of a request, and the id of the project in it.
type match struct {
	api       *api
	projectID string
	prefixed  bool // the path begins with the label of the API's host, or with the name of the service
}

func newRoutes(quotas []API) routes {
	r := routes{apis: ownAPIs(), root: &segment{}}
	for _, a := range quotas {
		published := a.published()
		r.apis = append(r.apis, published)
		if a.Service == "dbss" {
			r.apis = append(r.apis, dbssExtras(published)...)
		}
	}
	for i := range r.apis {
		r.root.add(&r.apis[i])
	}
	return r
}

// check returns why the APIs of a service can't write quotas.
func (r routes) check(service string, quotas []Quota) error {
	err := errors.New("there is no quota API of that name")
	for _, a := range r.apis {
		if a.quotas.Service == service {
			if err = a.quotas.Shape.check(quotas); err != nil {
				return err
			}
		}
	}
	return err
}

func (s *segment) add(a *api) {
	for name := range strings.SplitSeq(strings.TrimPrefix(a.path, "/"), "/") {
		s = s.next(name)
	}
	s.apis = append(s.apis, a)
}

// next returns the segment below s of that name, which it makes if there is none.
func (s *segment) next(name string) *segment {
	if name == projectParameter {
		if s.project == nil {
			s.project = &segment{}
		}
		return s.project
	}
	if s.below == nil {
		s.below = map[string]*segment{}
	}
	if s.below[name] == nil {
		s.below[name] = &segment{}
	}
	return s.below[name]
}

// find returns the APIs with the path of a request. If the path has the label of a host in front of an API's path, or the name of a
// service, only the APIs of that host or service are returned. The label is that of the region of the project, which regionOf returns.
func (r routes) find(path string, regionOf func(projectID string) string) []match {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	prefix, rest := cutSegment(path)
	var labelled, named []match
	if prefix != "" {
		for _, m := range r.root.find(rest, "", nil) {
			m.prefixed = true
			switch prefix {
			case m.api.host(regionOf(m.projectID)):
				labelled = append(labelled, m)
			case m.api.service:
				named = append(named, m)
			}
		}
	}
	switch {
	case labelled != nil:
		return labelled
	case named != nil:
		return named
	}
	return r.root.find(path, "", nil)
}

// find adds the APIs below s that have the rest of a path, whose beginning has the id of a project or none.
func (s *segment) find(rest, projectID string, found []match) []match {
	if rest == "" {
		for _, a := range s.apis {
			found = append(found, match{api: a, projectID: projectID})
		}
		return found
	}
	name, rest := cutSegment(rest)
	if below := s.below[name]; below != nil {
		found = below.find(rest, projectID, found)
	}
	if s.project != nil && name != "" && (projectID == "" || projectID == name) {
		found = s.project.find(rest, name, found)
	}
	return found
}

// cutSegment cuts the first segment from a path that begins with "/"; rest is empty or begins with "/".
func cutSegment(path string) (name, rest string) {
	end := strings.IndexByte(path[1:], '/') + 1
	if end == 0 {
		return path[1:], ""
	}
	return path[1:end], path[end:]
}
