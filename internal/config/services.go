package config

import (
	"maps"
	"math"
	"slices"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// settings are what services.defaults and each service can state, and where the two stand that are compared; there is no place for a
// built-in default.
type settings struct {
	Service

	cacheTTL, maxStale strictyaml.Node
}

var settingKeys = []string{"cache_ttl", "timeout", "max_stale", "max_in_flight"}

// take replaces the settings that are stated.
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
		if s.MaxStale, ok = n.Duration(math.MinInt64, math.MaxInt64); !ok { // checkStale knows better bounds
			s.MaxStale = math.MaxInt64 // one report is enough
		}
	}
	if most, ok := f.Get("max_in_flight").Number(1, 256); ok {
		s.MaxInFlight = most
	}
}

// readServices resolves each known service.
func readServices(n strictyaml.Node, known []providers.Service) map[string]Service {
	defaults := settings{Service: Service{CacheTTL: 5 * time.Minute, Timeout: 8 * time.Second, MaxStale: 6 * time.Hour, MaxInFlight: 8}}
	file, _ := n.Fields(append([]string{"defaults"}, namesOf(known)...)...)
	stated, _ := file.Get("defaults").Fields(settingKeys...)
	defaults.take(stated)
	services := make(map[string]Service)
	reported := make(map[strictyaml.Node]bool)
	anyEnabled := false
	for _, s := range known {
		own := defaults
		if s.CacheTTL > 0 && !own.cacheTTL.Stated() {
			own.CacheTTL = s.CacheTTL
		}
		own.read(s, file.Get(s.Name))
		if own.Enabled {
			own.checkStale(s.Name, defaults, reported)
			anyEnabled = true
		}
		services[s.Name] = own.Service
	}
	if n.Stated() && !anyEnabled {
		n.Fail("every service is disabled; enable at least one")
	}
	return services
}

func namesOf(known []providers.Service) []string {
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
	}
	return names
}

// read reads one service on top of the defaults.
func (s *settings) read(known providers.Service, n strictyaml.Node) {
	s.Enabled, s.Options = known.Enabled, maps.Clone(known.Options)
	names := slices.Sorted(maps.Keys(s.Options))
	f, _ := n.Fields(slices.Concat([]string{"enabled"}, settingKeys, names)...)
	s.take(f)
	if enabled := f.Get("enabled"); enabled.Stated() {
		value, ok := enabled.Flag()
		s.Enabled = value || !ok
	}
	for _, name := range names {
		if value, ok := f.Get(name).Flag(); ok {
			s.Options[name] = value
		}
	}
}

// checkStale checks that numbers are not dropped while they are fresh. It reports at the service if that states one of the two, else at the
// defaults, there once for all services.
func (s *settings) checkStale(name string, defaults settings, reported map[strictyaml.Node]bool) {
	if s.MaxStale >= s.CacheTTL {
		return
	}
	ownStale, ownTTL := s.maxStale != defaults.maxStale, s.cacheTTL != defaults.cacheTTL
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
		at.Fail("shorter than the cache_ttl of %s, %s; want at least as long", name, Short(s.CacheTTL))
	} else {
		at.Fail("longer than the max_stale of %s, %s; want at most as long, or a longer max_stale", name, Short(s.MaxStale))
	}
}
