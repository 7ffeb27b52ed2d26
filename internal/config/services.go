package config

import (
	"math"
	"slices"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
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

// readServices resolves each known service; names are theirs in order.
func readServices(n strictyaml.Node, known Known, names []string) map[string]Service {
	var file strictyaml.Fields
	defaults := builtIn()
	if n.Stated() {
		file, _ = n.Fields(append([]string{"defaults"}, names...)...)
	}
	if d := file.Get("defaults"); d.Stated() {
		f, _ := d.Fields(settingKeys...)
		defaults.take(f)
	}
	services := make(map[string]Service)
	reported := make(map[strictyaml.Node]bool)
	anyDisabled, anyEnabled := false, false
	for _, name := range names {
		own := defaults
		if ttl := known[name].CacheTTL; ttl > 0 && !own.cacheTTL.at.Stated() {
			own.cacheTTL.value = ttl
		}
		service := readService(known[name], file.Get(name), &own)
		own.checkStale(name, defaults, reported)
		services[name] = service
		anyDisabled = anyDisabled || !service.Enabled
		anyEnabled = anyEnabled || service.Enabled
	}
	if anyDisabled && !anyEnabled {
		n.Fail("every service is disabled; enable at least one")
	}
	return services
}

// readService reads one service on top of its defaults, which it changes.
func readService(known Defaults, n strictyaml.Node, own *settings) Service {
	enabled, list := setting[bool]{value: true}, setting[bool]{value: true}
	if n.Stated() {
		keys := slices.Concat([]string{"enabled"}, settingKeys)
		if known.ListsInstances {
			keys = append(keys, "list_instances")
		}
		f, _ := n.Fields(keys...)
		own.take(f)
		enabled.take(f.Get("enabled"), f.Get("enabled").Flag)
		list.take(f.Get("list_instances"), f.Get("list_instances").Flag)
	}
	return Service{
		Enabled:       enabled.value || enabled.bad,
		CacheTTL:      own.cacheTTL.value,
		Timeout:       own.timeout.value,
		MaxStale:      own.maxStale.value,
		MaxInFlight:   own.maxInFlight.value,
		ListInstances: list.value,
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
