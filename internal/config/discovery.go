package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
)

// Discovery selects projects of those that the credentials can access.
type Discovery struct {
	Regions         []string       // empty: all
	Include         *regexp.Regexp // of the project's whole name in IAM; nil: all
	Exclude         *regexp.Regexp // nil: none
	Subprojects     bool           // also projects other than the regions' default projects; default true
	NamePrefix      string         // prefix of the label, before the project's name in IAM; default "", or "<account>/" with several accounts
	RefreshInterval time.Duration  // default 15m
	MaxProjects     int            // maximum number of projects; default 5000
}

// Wants reports whether a project is selected.
func (d *Discovery) Wants(name, region string) bool {
	return (len(d.Regions) == 0 || slices.Contains(d.Regions, region)) && (d.Subprojects || name == region) &&
		(d.Include == nil || d.Include.MatchString(name)) && (d.Exclude == nil || !d.Exclude.MatchString(name))
}

// Idle returns the filters without effect on projects with these names in IAM: regions without projects, and an include or exclude
// that matches none of the projects that pass the previous filters.
func (d *Discovery) Idle(names []string) []string {
	var idle []string
	for _, region := range d.Regions {
		if !slices.ContainsFunc(names, func(name string) bool { return regionOf(name) == region }) {
			idle = append(idle, "regions: "+region)
		}
	}
	broader := Discovery{Regions: d.Regions, Subprojects: d.Subprojects}
	matchesNone := func(r *regexp.Regexp) bool {
		left := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !broader.Wants(name, regionOf(name)) })
		return r != nil && len(left) > 0 && !slices.ContainsFunc(left, r.MatchString)
	}
	if matchesNone(d.Include) {
		idle = append(idle, "include")
	}
	broader.Include = d.Include
	if matchesNone(d.Exclude) {
		idle = append(idle, "exclude")
	}
	return idle
}

// regionOf returns the region at the start of a project's name in IAM.
func regionOf(name string) string {
	region, _, _ := strings.Cut(name, "_")
	return region
}

func readDiscovery(n strictyaml.Node, account string, several bool) *Discovery {
	d := &Discovery{Subprojects: true, RefreshInterval: 15 * time.Minute, MaxProjects: 5000}
	if several {
		d.NamePrefix = account + "/"
	}
	f, _ := n.Fields("regions", "include", "exclude", "subprojects", "name_prefix", "refresh_interval", "max_projects")
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
	if most, ok := f.Get("max_projects").Number(1, 40_000); ok { // no longer list is fetched
		d.MaxProjects = most
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
		n.Fail("is empty; list regions, or remove the key for all regions")
	}
	return regions
}
