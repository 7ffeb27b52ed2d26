package providers

import (
	"embed"
	"regexp"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
)

//go:embed catalogue.yml
var catalogue []byte

//go:embed examples
var examples embed.FS

// All returns the services of the catalogue in its order, in which they are shown.
func All() []Service { return all() }

var all = sync.OnceValue(func() []Service {
	services, err := ReadCatalogue(catalogue)
	if err != nil {
		panic(err) // it is part of the program
	}
	return services
})

// Example returns the example answer of a service's API document, for the simulated cloud; nil if there is none.
func Example(service string) []byte {
	body, err := examples.ReadFile("examples/" + service + ".json")
	if err != nil {
		return nil
	}
	return body
}

// serviceName is the form of a service's name, which is the value of a label and a key of the configuration.
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ReadCatalogue reads the text of a catalogue: a mapping from names of services to their entries. The header of catalogue.yml explains the
// keys.
func ReadCatalogue(text []byte) ([]Service, error) {
	found := strictyaml.NewProblems("catalogue.yml")
	var services []Service
	if top := strictyaml.Parse(text, found); top.Stated() {
		entries, _ := top.Entries(serviceName.MatchString)
		for _, e := range entries {
			if !serviceName.MatchString(e.Key) {
				e.Fail("a key that is no name of a service; want lower case, digits and _")
				continue
			}
			services = append(services, readEntry(e))
		}
	}
	return services, found.Err()
}

func readEntry(e strictyaml.Entry) Service {
	s := Service{Name: e.Key, fetch: fetches[e.Key]}
	f, ok := e.Fields("product", "title", "enabled", "cache_ttl", "muted", "options", "api")
	if !ok {
		return s
	}
	s.Product, s.Title = readName(f.Get("product")), readName(f.Get("title"))
	if n := f.Get("enabled"); n.Stated() {
		s.Enabled, _ = n.Flag()
	}
	if n := f.Get("cache_ttl"); n.Stated() {
		s.CacheTTL, _ = n.Duration(time.Minute, 24*time.Hour)
	}
	if n := f.Get("muted"); n.Stated() {
		for _, item := range n.List() {
			resourceType, _ := item.Text()
			s.Muted = append(s.Muted, resourceType)
		}
	}
	if n := f.Get("options"); n.Stated() {
		s.Options = map[string]bool{}
		options, _ := n.Entries(serviceName.MatchString)
		for _, o := range options {
			s.Options[o.Key], _ = o.Flag()
		}
	}
	if n := f.Get("api"); n.Stated() {
		s.API = ReadAPI(n, e.Key)
		s.API.Host.builtIn = true
		if s.API.Account {
			n.Fail("quotas of an account are not read yet; want level: project")
		}
	} else {
		n.Fail("missing")
	}
	return s
}

func readName(n strictyaml.Node) string {
	if !n.Stated() {
		n.Fail("missing")
		return ""
	}
	name, _ := n.Text()
	return name
}
