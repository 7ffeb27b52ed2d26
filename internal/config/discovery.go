package config

import (
	"regexp"
	"slices"
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

// Wants returns whether a project is read.
func (d *Discovery) Wants(name, region string) bool {
	return (len(d.Regions) == 0 || slices.Contains(d.Regions, region)) && (d.Subprojects || name == region) &&
		(d.Include == nil || d.Include.MatchString(name)) && (d.Exclude == nil || !d.Exclude.MatchString(name))
}

func readDiscovery(n strictyaml.Node, account string, several bool) *Discovery {
	d := &Discovery{Subprojects: true, RefreshInterval: 15 * time.Minute}
	if several {
		d.NamePrefix = account + "/"
	}
	f, _ := n.Fields("regions", "include", "exclude", "subprojects", "name_prefix", "refresh_interval")
	d.Regions = readRegions(f.Get("regions"))
	d.Include, d.Exclude = readExpression(f.Get("include")), readExpression(f.Get("exclude"))
	if subprojects, ok := f.Get("subprojects").Flag(); ok {
		d.Subprojects = subprojects
	}
	if prefix, ok := f.Get("name_prefix").OptionalText(); ok && checkLabel(f.Get("name_prefix"), prefix) {
		d.NamePrefix = prefix
	}
	if interval, ok := f.Get("refresh_interval").Duration(time.Minute, 24*time.Hour); ok {
		d.RefreshInterval = interval
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
	if n.Stated() && n.IsEmpty() {
		n.Fail("names no region; name some, or remove the key for all")
	}
	return regions
}
