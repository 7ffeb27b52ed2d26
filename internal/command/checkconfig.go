package command

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/internal/report"
)

// Check holds the flags of check-config.
type Check struct {
	Once

	Online bool // ask the cloud, too
}

// Run prints the accounts, projects, services and rules of a configuration. Online, it also fetches every service of every project once, and
// prints what works and how to fix the rest. If ctx ends or the time is over, it prints what is known. The error is that of an invalid
// configuration, or an *ExitError with code 1 if something failed or was not finished.
func (check Check) Run(ctx context.Context, t Terminal, configFile string) error {
	return check.run(ctx, t, configFile, func(ctx context.Context, t Terminal, c *config.Config) error {
		offline := newFleet(c, fleet.Options{Dial: check.Dial, Once: true})
		_, _ = fmt.Fprintf(t.Out, "%s can be served. Accounts: %d, projects: %d, services: %s.\n",
			cmp.Or(printable.Text(configFile), "environment"), len(c.Accounts), len(offline.Projects()), strings.Join(offline.Services(), ", "))
		failed := 0
		for _, d := range offline.Describe(ctx) {
			failed += writeAccount(t, d)
		}
		writeDecisions(ctx, t, c)
		writeServices(t, c, offline.Services())
		writeRules(t, c)
		if !check.Online { // which knows more
			writeIdleOffline(t, c, offline.Services(), offline.Projects())
		}
		cut := ended(ctx)
		switch {
		case check.Online:
			return check.online(ctx, t, c)
		case failed > 0 && cut != nil:
			return &ExitError{exitFailed, fmt.Sprintf("%v, problems: %d", cut, failed)}
		case failed > 0:
			return &ExitError{exitFailed, fmt.Sprintf("problems: %d", failed)}
		}
		_, _ = fmt.Fprintln(t.Out, "\nNothing was asked of the cloud; --online does.")
		return nil
	})
}

// writeAccount shows an account and returns how many problems it has.
func writeAccount(t Terminal, d fleet.Description) int {
	_, _ = fmt.Fprintf(t.Out, "\naccount %s\n  credentials  %s\n", d.Account, printable.Text(d.Credentials))
	failed := 0
	if d.CredentialsErr != nil {
		failed++
		_, _ = fmt.Fprintf(t.Out, "  %s %v\n", t.paint(red, "no keys:    "), printable.Lines(d.CredentialsErr.Error(), "               "))
	}
	for _, open := range d.Exposed {
		_, _ = fmt.Fprintf(t.Out, "  %s %v\n", t.paint(yellow, "not secret: "), printable.Text(open.Error()))
	}
	if d.DomainID != "" {
		_, _ = fmt.Fprintf(t.Out, "  domain_id    %s\n", d.DomainID)
	}
	if d.CAFile != "" {
		_, _ = fmt.Fprintf(t.Out, "  ca_file      %s\n", printable.Text(d.CAFile))
		if d.CAFileErr != nil {
			failed++
			_, _ = fmt.Fprintf(t.Out, "  %s %v\n", t.paint(red, "unusable:   "), printable.Lines(d.CAFileErr.Error(), "               "))
		}
	}
	if d.Discovery != nil {
		_, _ = fmt.Fprintf(t.Out, "  discovery    %s\n", printable.Text(describeDiscovery(d.Discovery)))
	}
	if len(d.Sources) > 0 {
		writeSources(t, d.Sources)
	}
	return failed
}

// describeDiscovery returns a line that says which projects are looked for.
func describeDiscovery(d *config.Discovery) string {
	parts := []string{"every " + config.Short(d.RefreshInterval)}
	if len(d.Regions) > 0 {
		parts = append(parts, "regions "+strings.Join(d.Regions, ", "))
	}
	if d.Include != nil {
		parts = append(parts, "only "+expression(d.Include))
	}
	if d.Exclude != nil {
		parts = append(parts, "without "+expression(d.Exclude))
	}
	if !d.Subprojects {
		parts = append(parts, "no subprojects")
	}
	if d.NamePrefix != "" {
		parts = append(parts, fmt.Sprintf("labels begin with %q", d.NamePrefix))
	}
	return strings.Join(parts, "; ")
}

// writeSources shows each project once, and each service of a region once.
func writeSources(t Terminal, sources []fleet.Endpoint) {
	var projects, endpoints table
	projects.add("  PROJECT", "ID", "REGION", "")
	endpoints.add("  REGION", "SERVICE", "ENDPOINT")
	known := map[string]bool{}
	for _, e := range sources {
		if project := "project " + e.Project.Label; !known[project] {
			known[project] = true
			projects.add("  "+e.Project.Label, cmp.Or(e.Project.ID, "(looked up in IAM)"), e.Project.Region, "")
		}
		if endpoint := e.Project.Region + " " + e.Service; !known[endpoint] {
			known[endpoint] = true
			endpoints.add("  "+e.Project.Region, e.Service, e.URL)
		}
	}
	projects.write(t.Out)
	endpoints.write(t.Out)
}

// writeDecisions shows each variable that chooses what is read, and what it decides.
func writeDecisions(ctx context.Context, t Terminal, c *config.Config) {
	decisions := c.Decisions
	if decisions == nil {
		decisions = c.Overruled(ctx, os.Environ())
	}
	if len(decisions) == 0 {
		return
	}
	var out table
	out.add("VARIABLE", "DECIDES")
	for _, d := range decisions {
		out.add(d.Name, d.What)
	}
	out.write(t.Out)
}

func writeServices(t Terminal, c *config.Config, names []string) {
	var out table
	out.add("SERVICE", "CACHE_TTL", "TIMEOUT", "MAX_STALE", "MAX_IN_FLIGHT", "OPTIONS")
	for _, name := range names {
		s := c.Services[name]
		out.add(name, config.Short(s.CacheTTL), config.Short(s.Timeout), config.Short(s.MaxStale), strconv.Itoa(s.MaxInFlight), list("%s: %t", s.Options))
	}
	out.write(t.Out)
}

// list shows names and their values, as they are configured.
func list[V any](format string, all map[string]V) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf(format, name, all[name]))
	}
	return strings.Join(parts, ", ")
}

// writeRules shows limits and thresholds in the order in which they count.
func writeRules(t Terminal, c *config.Config) {
	var out table
	out.add("RULE", "SERVICE", "PROJECT", "RESOURCE", "")
	add := func(kind string, m config.Match, value string) {
		out.add(kind, expression(m.Service), expression(m.Project), expression(m.ResourceType), value)
	}
	for _, l := range c.Limits {
		add("limit", l.Match, printable.Number(l.Limit))
	}
	for _, rule := range c.Thresholds {
		add("threshold", rule.Match, cmp.Or(list("%s %g", rule.Ratios), "no alert"))
	}
	out.write(t.Out)
}

// expression is a regular expression as it is configured, without its anchors.
func expression(r *regexp.Regexp) string {
	if r == nil {
		return "any"
	}
	return strings.TrimSuffix(strings.TrimPrefix(r.String(), "^(?:"), ")$")
}

// online asks every service of every project once.
func (check Check) online(ctx context.Context, t Terminal, c *config.Config) error {
	o, err := check.read(ctx, t, c, fleet.Filter{})
	if err != nil {
		return err
	}
	o.writeMatrix(t)
	o.writeProblems(t)
	o.writeLeftOut(t)
	o.writeIdle(t, c)
	if err := o.verdict(); err != nil {
		return err
	}
	succeeded, rest := 0, ""
	for _, r := range o.readings {
		if !r.NotOffered {
			succeeded++
		}
	}
	if n := len(o.readings) - succeeded; n > 0 {
		rest = fmt.Sprintf(" Not offered by the region (404 APIGW.0101, 403 APIGW.0801, or no such host): %d.", n)
	}
	_, _ = fmt.Fprintf(t.Out, "\nAll %d reads succeeded.%s\n", succeeded, rest)
	return nil
}

// writeMatrix shows each project and what became of its services: the number of quotas, or the reason of the failure.
func (o *outcome) writeMatrix(t Terminal) {
	var out table
	head := []string{"PROJECT", "ID"}
	for _, service := range o.services {
		head = append(head, strings.ToUpper(service))
	}
	out.add(append(head, "")...)
	for _, project := range report.NewMatrix(o.readings).Projects {
		cells := []string{project.Label, project.ID}
		for _, r := range project.Readings {
			cell := fmt.Sprintf("ok (%d)", len(r.Quotas))
			if failure := o.failures[r]; r.NotOffered || failure != nil {
				cell = report.OutcomeOf(r, failure).Text
			}
			cells = append(cells, cell)
		}
		out.add(append(cells, "")...)
	}
	out.write(t.Out)
}
