package providers

import (
	"cmp"
	_ "embed"
	"regexp"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
)

//go:embed catalogue.yml
var catalogue []byte

// All returns the services of the catalogue, in the order in which they are shown.
func All() []Service { return all() }

var all = sync.OnceValue(func() []Service {
	services, err := ReadCatalogue(catalogue)
	if err != nil {
		panic(err) // the catalogue is part of the program
	}
	return services
})

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// IsServiceName reports whether text is a valid service name, which is a label value and a key of the configuration.
func IsServiceName(text string) bool { return serviceName.MatchString(text) }

// ReadCatalogue reads the text of a catalogue: a mapping from names of services to their entries. The header of catalogue.yml
// explains the keys.
func ReadCatalogue(text []byte) ([]Service, error) {
	found := strictyaml.NewProblems("catalogue.yml")
	var services []Service
	entries, _ := strictyaml.Parse(text, found).Entries(IsServiceName)
	for _, e := range entries {
		if !IsServiceName(e.Key) {
			e.Fail("a key that is not a valid service name; expected lower-case letters, digits, and _")
			continue
		}
		services = append(services, readEntry(e))
	}
	return services, found.Err()
}

// ownAPI is the evidence of an API that the configuration defines.
const ownAPI = "configuration"

var evidenceForm = regexp.MustCompile(`^(document|openapi|sdk|terraform|outdated)$`)

func readEntry(e strictyaml.Entry) Service {
	s := Service{Name: e.Key, fetch: fetches[e.Key], OptionActions: optionActions[e.Key]}
	f, ok := e.Fields("product", "title", "evidence", "sdk", "enabled", "cache_ttl", "muted", "inferred", "notes", "overlap", "options", "needs_project", "api")
	if !ok {
		return s
	}
	s.Product, _ = f.Need("product", "expected the full name of the service").Text()
	s.Title, _ = f.Need("title", "expected the title of the page that describes the API").Text()
	s.Evidence, _ = f.Get("evidence").Matching(evidenceForm, "document, openapi, sdk, terraform or outdated")
	s.Evidence = cmp.Or(s.Evidence, "document")
	s.Inferred, _ = f.Get("inferred").Text()
	s.Notes, _ = f.Get("notes").Text()
	s.Overlap, _ = f.Get("overlap").Text()
	s.SDK, _ = f.Get("sdk").Text()
	s.Enabled, _ = f.Get("enabled").Flag()
	s.NeedsProject, _ = f.Get("needs_project").Flag()
	s.CacheTTL, _ = f.Get("cache_ttl").Duration(time.Minute, 6*time.Hour) // the default of max_stale
	for _, item := range f.Get("muted").List() {
		resourceType, _ := item.Text()
		s.Muted = append(s.Muted, resourceType)
	}
	options, _ := f.Get("options").Entries(IsServiceName)
	for _, o := range options {
		if s.Options == nil {
			s.Options = map[string]bool{}
		}
		s.Options[o.Key], _ = o.Flag()
	}
	s.API = ReadAPI(f.Need("api", "expected the description of the API"), e.Key)
	s.API.Host.builtIn = true
	return s
}

// Own returns the service for an API of the configuration. n is its description.
func Own(name string, n strictyaml.Node) Service {
	return Service{Name: name, API: ReadAPI(n, ""), Enabled: true, Product: "an API of your own", Evidence: ownAPI}
}
