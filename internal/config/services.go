package config

import (
	"maps"
	"math"
	"slices"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/providers"
)

// setting is a value and the place that states it; the place is empty for a built-in default.
type setting[T any] struct {
	value T
	at    strictyaml.Node
	bad   bool // what is stated can't be used
}

// take replaces the setting by what n states, if anything.
func (s *setting[T]) take(n strictyaml.Node, read func() (T, bool)) {
	if !n.Stated() {
		return
	}
	value, ok := read()
	*s = setting[T]{value, n, !ok}
}

// settings are what services.defaults and each service can state.
type settings struct {
	cacheTTL, timeout, maxStale setting[time.Duration]
	maxInFlight                 setting[int]
}

var settingKeys = []string{"cache_ttl", "timeout", "max_stale", "max_in_flight"}

func (s *settings) take(f strictyaml.Fields) {
	within := func(n strictyaml.Node, least, most time.Duration) (strictyaml.Node, func() (time.Duration, bool)) {
		return n, func() (time.Duration, bool) { return n.Duration(least, most) }
	}
	s.cacheTTL.take(within(f.Get("cache_ttl"), 0, 24*time.Hour))
	s.timeout.take(within(f.Get("timeout"), 100*time.Millisecond, 5*time.Minute))
	s.maxStale.take(within(f.Get("max_stale"), math.MinInt64, math.MaxInt64)) // checkStale knows better bounds
	inFlight := f.Get("max_in_flight")
	s.maxInFlight.take(inFlight, func() (int, bool) { return inFlight.Number(1, 256) })
}

// builtIn are the defaults where the file states none.
func builtIn() settings {
	return settings{
		cacheTTL:    setting[time.Duration]{value: 5 * time.Minute},
		timeout:     setting[time.Duration]{value: 8 * time.Second},
		maxStale:    setting[time.Duration]{value: 6 * time.Hour},
		maxInFlight: setting[int]{value: 8},
	}
}

// readServices resolves each known service.
func readServices(n strictyaml.Node, known []providers.Service) map[string]Service {
	var file strictyaml.Fields
	defaults := builtIn()
	if n.Stated() {
		file, _ = n.Fields(append([]string{"defaults"}, namesOf(known)...)...)
	}
	if d := file.Get("defaults"); d.Stated() {
		f, _ := d.Fields(settingKeys...)
		defaults.take(f)
	}
	services := make(map[string]Service)
	reported := make(map[strictyaml.Node]bool)
	anyEnabled := false
	for _, s := range known {
		own := defaults
		if s.CacheTTL > 0 && !own.cacheTTL.at.Stated() {
			own.cacheTTL.value = s.CacheTTL
		}
		service := readService(s, file.Get(s.Name), &own)
		if service.Enabled {
			own.checkStale(s.Name, defaults, reported)
			anyEnabled = true
		}
		services[s.Name] = service
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

// readService reads one service on top of its defaults, which it changes.
func readService(known providers.Service, n strictyaml.Node, own *settings) Service {
	enabled := setting[bool]{value: known.Enabled}
	options := maps.Clone(known.Options)
	if n.Stated() {
		names := slices.Sorted(maps.Keys(options))
		f, _ := n.Fields(slices.Concat([]string{"enabled"}, settingKeys, names)...)
		own.take(f)
		enabled.take(f.Get("enabled"), f.Get("enabled").Flag)
		for _, name := range names {
			if o := f.Get(name); o.Stated() {
				options[name], _ = o.Flag()
			}
		}
	}
	return Service{
		Enabled:     enabled.value || enabled.bad,
		CacheTTL:    own.cacheTTL.value,
		Timeout:     own.timeout.value,
		MaxStale:    own.maxStale.value,
		MaxInFlight: own.maxInFlight.value,
		Options:     options,
	}
}

// checkStale checks that numbers are not dropped while they are fresh. It reports where the service states one of the two, else at the
// defaults, there once for all services.
func (s settings) checkStale(name string, defaults settings, reported map[strictyaml.Node]bool) {
	stale, ttl := s.maxStale, s.cacheTTL
	if stale.bad || ttl.bad || stale.value >= ttl.value {
		return
	}
	ownStale, ownTTL := stale.at != defaults.maxStale.at, ttl.at != defaults.cacheTTL.at
	atStale := ownStale || !ownTTL && stale.at.Stated()
	at := ttl.at
	if atStale {
		at = stale.at
	}
	if reported[at] {
		return
	}
	reported[at] = true
	if atStale {
		at.Fail("shorter than the cache_ttl of %s, %s; want at least as long", name, Short(ttl.value))
	} else {
		at.Fail("longer than the max_stale of %s, %s; want at most as long, or a longer max_stale", name, Short(stale.value))
	}
}
