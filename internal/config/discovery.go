package config

import (
	"regexp"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
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

func readDiscovery(n strictyaml.Node, account string, several bool) *Discovery {
	d := &Discovery{Subprojects: true, RefreshInterval: defaultRefreshInterval}
	if several {
		d.NamePrefix = account + "/"
	}
	f, ok := n.Fields("regions", "include", "exclude", "subprojects", "name_prefix", "refresh_interval")
	if !ok {
		return d
	}
	if r := f.Get("regions"); r.Stated() {
		d.Regions = readRegions(r)
	}
	d.Include, d.Exclude = readExpression(f.Get("include")), readExpression(f.Get("exclude"))
	if s := f.Get("subprojects"); s.Stated() {
		d.Subprojects, _ = s.Flag()
	}
	if p := f.Get("name_prefix"); p.Stated() {
		d.NamePrefix = readPrefix(p)
	}
	if r := f.Get("refresh_interval"); r.Stated() {
		if interval, ok := r.Duration(time.Minute, 24*time.Hour); ok {
			d.RefreshInterval = interval
		}
	}
	return d
}

func readRegions(n strictyaml.Node) []string {
	var regions []string
	for _, item := range n.List() {
		if region, ok := readRegion(item); ok {
			regions = append(regions, region)
		}
	}
	if n.IsEmpty() {
		n.Fail("names no region; name some, or remove the key for all")
	}
	return regions
}

// readPrefix reads a prefix, which may be empty.
func readPrefix(n strictyaml.Node) string {
	prefix, ok := n.OptionalText()
	if !ok || !checkLabel(n, prefix) {
		return ""
	}
	return prefix
}
