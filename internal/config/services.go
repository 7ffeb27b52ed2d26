package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// settings are the settings that services.defaults and each service can set, and the nodes of the two that are compared; a built-in
// default has no node.
type settings struct {
	Service

	cacheTTL, maxStale strictyaml.Node
}

var settingKeys = []string{"cache_ttl", "timeout", "max_stale", "max_in_flight"}

// take replaces the settings that are set.
func (s *settings) take(f strictyaml.Fields) {
	if n := f.Get("cache_ttl"); n.Stated() {
		s.cacheTTL = n
		s.CacheTTL, _ = n.Duration(0, 24*time.Hour)
	}
	if timeout, ok := f.Get("timeout").Duration(100*time.Millisecond, 5*time.Minute); ok {
		s.Timeout = timeout
	}
	if n := f.Get("max_stale"); n.Stated() {
		var ok bool
		s.maxStale = n
		if s.MaxStale, ok = n.Duration(math.MinInt64, math.MaxInt64); !ok { // checkStale checks the bounds
			s.MaxStale = math.MaxInt64 // one report is enough
		}
	}
	if most, ok := f.Get("max_in_flight").Number(1, 256); ok {
		s.MaxInFlight = most
	}
}

// readServices reads the settings of the known services, and adds the services that the file defines.
func (c *Config) readServices(n strictyaml.Node, known []providers.Service) {
	defaults := settings{Service: Service{CacheTTL: 5 * time.Minute, Timeout: 8 * time.Second, MaxStale: 6 * time.Hour, MaxInFlight: 8}}
	sections, own := splitServices(n, known)
	stated, _ := sections["defaults"].Fields(append([]string{"enabled"}, settingKeys...)...)
	defaults.take(stated)
	all, allStated := stated.Get("enabled").Flag()
	c.Known = slices.Concat(known, own)
	c.Services = make(map[string]Service)
	reported := make(map[strictyaml.Node]bool)
	anyEnabled := false
	for _, s := range c.Known {
		r := defaults
		if s.CacheTTL > 0 {
			r.CacheTTL, r.cacheTTL = s.CacheTTL, strictyaml.Node{}
		}
		r.Enabled = s.Enabled
		if allStated && !s.IsOwn() {
			r.Enabled, r.ByDefaults = all, all && !s.Enabled
		}
		section := sections[s.Name]
		r.read(s.Options, section)
		switch {
		case r.Enabled:
			r.checkStale(s.Name, defaults, reported)
			anyEnabled = true
		case section.Stated() && !section.Peek("enabled").Stated():
			c.Idle = append(c.Idle, fmt.Sprintf("%s (line %d)", section.Path(), section.Line()))
		}
		c.Services[s.Name] = r.Service
	}
	if n.Stated() && !anyEnabled {
		n.Fail("every service is disabled; enable at least one")
	}
}

// ReadsAccounts reports whether an account-level service is enabled.
func (c *Config) ReadsAccounts() bool {
	return slices.ContainsFunc(c.Known, func(s providers.Service) bool { return s.API.Account && c.Services[s.Name].Enabled })
}

// reserved are names with another meaning in services, in endpoints, or in collect[].
var reserved = []string{"default", "defaults", "exporter", "iam"}

// splitServices returns the sections by name, and the services that the file defines.
func splitServices(n strictyaml.Node, known []providers.Service) (sections map[string]strictyaml.Node, own []providers.Service) {
	builtIn := slices.Sorted(slices.Values(namesOf(known)))
	entries, _ := n.Entries(func(key string) bool { return slices.Contains(builtIn, key) || strictyaml.IsPlain(key) })
	sections = make(map[string]strictyaml.Node)
	for _, e := range entries {
		api := e.Peek("api")
		switch {
		case slices.Contains(builtIn, e.Key):
			if api.Stated() {
				api.Fail("%[1]s is a built-in service; choose another name for your API, for example my_%[1]s, or remove api", e.Key)
			}
			sections[e.Key] = e.Node
		case api.Stated() && slices.Contains(reserved, e.Key):
			e.Fail("a reserved name; choose another name for your API, for example my_%s", e.Key)
		case e.Key == "defaults":
			sections[e.Key] = e.Node
		case !api.Stated():
			e.FailUnknown(append([]string{"defaults"}, builtIn...), ", and your own services with api")
		case !providers.IsServiceName(e.Key):
			e.Fail("not the name of a service (not shown because it may be a secret); expected 1 to 63 lower-case letters, digits, and _, starting with a letter")
		default:
			e = e.Show()
			sections[e.Key] = e.Node
			own = append(own, providers.Own(e.Key, e.Peek("api")))
		}
	}
	return sections, own
}

func namesOf(known []providers.Service) []string {
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
	}
	return names
}

// read reads the section of one service, based on the defaults. Its options have separate defaults.
func (s *settings) read(options map[string]bool, n strictyaml.Node) {
	s.Options = maps.Clone(options)
	names := slices.Sorted(maps.Keys(options))
	keys := slices.Concat([]string{"enabled"}, settingKeys, names)
	if n.Peek("api").Stated() { // already read by splitServices
		keys = append(keys, "api")
	}
	f, _ := n.Fields(keys...)
	s.take(f)
	if enabled := f.Get("enabled"); enabled.Stated() {
		value, ok := enabled.Flag()
		s.Enabled, s.ByDefaults = value || !ok, false // one report is enough
	}
	for name := range s.Options {
		if value, ok := f.Get(name).Flag(); ok {
			s.Options[name] = value
		}
	}
}

// checkStale checks that values are not dropped while they are fresh. It reports a problem of the service, or of the defaults once
// for all services.
func (s *settings) checkStale(name string, defaults settings, reported map[strictyaml.Node]bool) {
	if s.MaxStale >= s.CacheTTL {
		return
	}
	ownStale, ownTTL := s.maxStale != defaults.maxStale, s.cacheTTL.Stated() && s.cacheTTL != defaults.cacheTTL
	atStale := ownStale || !ownTTL && s.maxStale.Stated()
	at := s.cacheTTL
	if atStale {
		at = s.maxStale
	}
	if reported[at] {
		return
	}
	reported[at] = true
	if atStale {
		at.Fail("shorter than the cache_ttl of %s, %s; increase it, or shorten cache_ttl", name, Short(s.CacheTTL))
	} else {
		at.Fail("longer than the max_stale of %s, %s; shorten it, or increase max_stale", name, Short(s.MaxStale))
	}
}
