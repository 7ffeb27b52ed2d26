package config

import (
	"regexp"
	"time"
)

// Discovery says which of the projects that the credentials may see are read.
type Discovery struct {
	Regions         []string       // empty: all
	Include         *regexp.Regexp // of the project's name in IAM, the whole of it; nil: all
	Exclude         *regexp.Regexp // nil: none
	Subprojects     bool           // also those that are not a region's own; default true
	NamePrefix      string         // of the label, in front of the project's name in IAM; default "", with several accounts "<account>/"
	RefreshInterval time.Duration  // default 15m
}

// Wants tells whether a project is read.
func (d *Discovery) Wants(name, region string) bool {
	inRegion := len(d.Regions) == 0
	for _, r := range d.Regions {
		inRegion = inRegion || r == region
	}
	return inRegion && (d.Subprojects || name == region) &&
		(d.Include == nil || d.Include.MatchString(name)) && (d.Exclude == nil || !d.Exclude.MatchString(name))
}

const defaultRefreshInterval = 15 * time.Minute

func readDiscovery(n node, account string, several bool) *Discovery {
	d := &Discovery{Subprojects: true, RefreshInterval: defaultRefreshInterval}
	if several {
		d.NamePrefix = account + "/"
	}
	f, ok := n.fields("regions", "include", "exclude", "subprojects", "name_prefix", "refresh_interval")
	if !ok {
		return d
	}
	if r := f.get("regions"); r.stated() {
		d.Regions = readRegions(r)
	}
	d.Include, d.Exclude = readExpression(f.get("include")), readExpression(f.get("exclude"))
	if s := f.get("subprojects"); s.stated() {
		d.Subprojects, _ = s.flag()
	}
	if p := f.get("name_prefix"); p.stated() {
		d.NamePrefix = readPrefix(p)
	}
	if r := f.get("refresh_interval"); r.stated() {
		if interval, ok := r.duration(time.Minute, 24*time.Hour); ok {
			d.RefreshInterval = interval
		}
	}
	return d
}

func readRegions(n node) []string {
	var regions []string
	for _, item := range n.list() {
		if region, ok := readRegion(item); ok {
			regions = append(regions, region)
		}
	}
	if n.isEmpty() {
		n.fail("names no region; name some, or remove the key for all")
	}
	return regions
}

// readPrefix reads a prefix, which may be empty.
func readPrefix(n node) string {
	prefix, ok := n.optionalText()
	if !ok || !checkLabel(n, prefix) {
		return ""
	}
	return prefix
}
