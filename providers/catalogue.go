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
	body, _ := examples.ReadFile("examples/" + service + ".json")
	return body
}

// serviceName is the form of a service's name, which is the value of a label and a key of the configuration.
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ReadCatalogue reads the text of a catalogue: a mapping from names of services to their entries. The header of catalogue.yml explains the
// keys.
func ReadCatalogue(text []byte) ([]Service, error) {
	found := strictyaml.NewProblems("catalogue.yml")
	var services []Service
	entries, _ := strictyaml.Parse(text, found).Entries(serviceName.MatchString)
	for _, e := range entries {
		if !serviceName.MatchString(e.Key) {
			e.Fail("a key that is no name of a service; want lower case, digits and _")
			continue
		}
		services = append(services, readEntry(e))
	}
	return services, found.Err()
}

func readEntry(e strictyaml.Entry) Service {
	s := Service{Name: e.Key, fetch: fetches[e.Key]}
	f, ok := e.Fields("product", "title", "sdk", "enabled", "cache_ttl", "muted", "options", "api")
	if !ok {
		return s
	}
	s.Product, _ = f.Need("product", "want the full name of the service").Text()
	s.Title, _ = f.Need("title", "want the title of the page that describes the API").Text()
	s.SDK, _ = f.Get("sdk").Text()
	s.Enabled, _ = f.Get("enabled").Flag()
	s.CacheTTL, _ = f.Get("cache_ttl").Duration(time.Minute, 24*time.Hour)
	for _, item := range f.Get("muted").List() {
		resourceType, _ := item.Text()
		s.Muted = append(s.Muted, resourceType)
	}
	options, _ := f.Get("options").Entries(serviceName.MatchString)
	for _, o := range options {
		if s.Options == nil {
			s.Options = map[string]bool{}
		}
		s.Options[o.Key], _ = o.Flag()
	}
	n := f.Need("api", "want the description of the API")
	s.API = ReadAPI(n, e.Key)
	s.API.Host.builtIn = true
	if s.API.Account {
		n.Fail("quotas of an account are not read yet; want level: project")
	}
	return s
}
