package command

import (
	"cmp"
	"context"
	"errors"
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

	Online   bool     // also fetch from the cloud
	Services []string // to fetch; all if empty
	Projects []string // to fetch; all if empty
}

// Run prints the accounts, projects, services, and rules of a configuration. Online, it also fetches the selected services and
// projects once, and prints the results and how to fix failures. If ctx ends or the command times out, it prints the results so far.
// It returns the error of an invalid configuration, or an *ExitError with code 1 if something failed or did not finish.
func (check Check) Run(ctx context.Context, t Terminal, configFile string) error {
	if !check.Online && check.partly() {
		return errors.New("--service and --project have no effect without --online; add --online")
	}
	return check.run(ctx, t, configFile, func(ctx context.Context, t Terminal, c *config.Config) error {
		offline := newFleet(c, fleet.Options{Dial: check.Dial, Once: true})
		services := offline.Services()
		if err := offline.CheckServices("--service", check.Services); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(t.Out, "%s is valid. Accounts: %d, projects: %d, services: %s.\n",
			cmp.Or(printable.Text(configFile), "The environment"), len(c.Accounts), countProjects(offline), fleet.SomeOf(services))
		failed := 0
		for _, d := range offline.Describe(ctx) {
			failed += check.writeAccount(t, d)
		}
		writeDecisions(ctx, t, c)
		check.writeServices(t, c)
		writeRules(t, c)
		if !check.Online || check.partly() { // otherwise the result of the fetches shows it at the end
			writeIdleOffline(t, c, services, offline.Projects())
		}
		cut := ended(ctx)
		switch {
		case check.Online:
			return check.online(ctx, t, c)
		case failed > 0 && cut != nil:
			return &ExitError{exitFailed, fmt.Sprintf("%v; %s", cut, marked(failed))}
		case failed > 0:
			return &ExitError{exitFailed, marked(failed)}
		}
		_, _ = fmt.Fprintln(t.Out, "\nNo requests were sent to the cloud. To test the APIs as well, add --online.")
		return nil
	})
}

// marked refers to the problems that writeAccount has shown.
func marked(n int) string {
	return fmt.Sprintf("problems: %d; see \"no keys\" or \"unusable\" above", n)
}

// partly reports whether only some services or projects are selected.
func (check Check) partly() bool { return len(check.Services)+len(check.Projects) > 0 }

// wants reports whether a service is selected.
func (check Check) wants(service string) bool {
	return len(check.Services) == 0 || slices.Contains(check.Services, service)
}

// writeAccount shows an account and returns its number of problems.
func (check Check) writeAccount(t Terminal, d fleet.Description) int {
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
	if d.InFlight != config.DefaultInFlightPerHost {
		_, _ = fmt.Fprintf(t.Out, "  max_in_flight_per_host  %d\n", d.InFlight)
	}
	if d.Discovery != nil {
		_, _ = fmt.Fprintf(t.Out, "  discovery    %s\n", printable.Text(describeDiscovery(d.Discovery)))
	}
	sources := slices.DeleteFunc(slices.Clone(d.Sources), func(e fleet.Endpoint) bool {
		return !check.wants(e.Service) || len(check.Projects) > 0 && !slices.Contains(check.Projects, e.Project.Label)
	})
	if len(sources) > 0 {
		writeSources(t, sources)
	}
	return failed
}

// describeDiscovery describes in one line which projects are discovered.
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
		parts = append(parts, fmt.Sprintf("name_prefix %q", d.NamePrefix))
	}
	return strings.Join(parts, "; ")
}

// writeSources shows each project once, and each service once, or once for all regions whose URLs have the same form.
func writeSources(t Terminal, sources []fleet.Endpoint) {
	var projects, endpoints table
	projects.add("  PROJECT", "ID", "REGION", "")
	endpoints.add("  SERVICE", "REGION", "ENDPOINT")
	var services, regions []string
	urls := map[string]map[string]string{} // by service and region
	shown := ""
	for _, e := range sources {
		if e.Project.Label != shown { // sources are sorted by project
			shown = e.Project.Label
			id := cmp.Or(e.Project.ID, "(looked up in IAM)")
			if e.Project.IsAccount {
				id = "(the account itself)"
			}
			projects.add("  "+e.Project.Label, id, cmp.Or(e.Region, "(unknown)"), "")
		}
		if urls[e.Service] == nil {
			urls[e.Service] = map[string]string{}
			services = append(services, e.Service)
		}
		if !slices.Contains(regions, e.Region) {
			regions = append(regions, e.Region)
		}
		urls[e.Service][e.Region] = e.URL
	}
	slices.Sort(regions)
	for _, service := range services {
		for _, form := range endpointForms(urls[service], regions) {
			endpoints.add("  "+service, form.in, form.url)
		}
	}
	projects.write(t.Out)
	endpoints.write(t.Out)
}

// endpointForm is the URL of a service in some regions, with {region} as a placeholder if there are several.
type endpointForm struct{ in, url string }

func endpointForms(byRegion map[string]string, regions []string) []endpointForm {
	const region = "{region}"
	var forms []string
	in := map[string][]string{}
	for _, name := range regions {
		if url, ok := byRegion[name]; ok {
			form := strings.ReplaceAll(url, cmp.Or(name, region), region)
			if in[form] == nil {
				forms = append(forms, form)
			}
			in[form] = append(in[form], name)
		}
	}
	var shown []endpointForm
	for _, form := range forms {
		switch names := in[form]; {
		case len(names) == 1:
			shown = append(shown, endpointForm{cmp.Or(names[0], "(unknown)"), byRegion[names[0]]})
		case len(names) == len(regions):
			shown = append(shown, endpointForm{fmt.Sprintf("all %d", len(names)), form})
		default:
			shown = append(shown, endpointForm{fleet.SomeOf(names), form})
		}
	}
	return shown
}

// writeDecisions shows each environment variable that affects the configuration, and its effect.
func writeDecisions(ctx context.Context, t Terminal, c *config.Config) {
	decisions := c.Decisions
	if decisions == nil {
		decisions = c.Overruled(ctx, os.Environ())
	}
	if len(decisions) == 0 {
		return
	}
	var out table
	out.add("VARIABLE", "SETS")
	for _, d := range decisions {
		out.add(d.Name, d.What)
	}
	out.write(t.Out)
}

// writeServices shows the settings of services and the IAM actions that they need.
func (check Check) writeServices(t Terminal, c *config.Config) {
	var out table
	out.add("SERVICE", "CACHE_TTL", "TIMEOUT", "MAX_STALE", "IN_FLIGHT", "IAM_ACTION", "REMARKS")
	for _, known := range c.Known {
		s := c.Services[known.Name]
		if !s.Enabled || !check.wants(known.Name) {
			continue
		}
		var remarks []string
		if !known.IsVerified() {
			remarks = append(remarks, evidence(known))
		}
		if options := list("%s: %t", s.Options); options != "" {
			remarks = append(remarks, options)
		}
		row := []string{known.Name, config.Short(s.CacheTTL), config.Short(s.Timeout), config.Short(s.MaxStale), strconv.Itoa(s.MaxInFlight)}
		actions := needs(known, s.Options)
		if t.Width == 0 { // one line per service, for grep
			actions = []string{strings.Join(actions, ", ")}
		}
		out.add(append(row, actions[0], strings.Join(remarks, ", "))...)
		for _, action := range actions[1:] {
			out.add("", "", "", "", "", action, "")
		}
	}
	out.write(t.Out)
}

// list formats names and values as in the configuration file.
func list[V any](format string, all map[string]V) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf(format, name, all[name]))
	}
	return strings.Join(parts, ", ")
}

// writeRules shows limits and thresholds in order of precedence.
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

// expression returns a regular expression as configured, without its anchors.
func expression(r *regexp.Regexp) string {
	if r == nil {
		return "any"
	}
	return strings.TrimSuffix(strings.TrimPrefix(r.String(), "^(?:"), ")$")
}

// online fetches every selected service of every selected project once.
func (check Check) online(ctx context.Context, t Terminal, c *config.Config) error {
	o, err := check.read(ctx, t, c, fleet.Filter{Services: check.Services, Projects: check.Projects})
	if err != nil {
		return err
	}
	o.setAsideThrottled()
	o.writeMatrix(t)
	o.writeProblems(t)
	o.writeLeftOut(t)
	if !check.partly() {
		o.writeIdle(t, c)
	}
	if err := o.verdict(); err != nil {
		return err
	}
	succeeded, notOffered := 0, 0
	for _, r := range o.readings {
		switch {
		case r.NotOffered:
			notOffered++
		case !o.throttled[r]:
			succeeded++
		}
	}
	text := fmt.Sprintf("All %d fetches succeeded.", succeeded)
	if notOffered > 0 {
		text += fmt.Sprintf(" Not offered by the region (404 APIGW.0101, 403 APIGW.0801, or no such host): %d.", notOffered)
	}
	if o.notChecked > 0 {
		text += fmt.Sprintf(" Not checked because the cloud throttles the account (429): %d; run the command again later.", o.notChecked)
	}
	_, _ = fmt.Fprintf(t.Out, "\n%s\n", text)
	return nil
}

const matrixWidth = 160 // if the width of the terminal is unknown

// writeMatrix shows the result for each project and service: the number of quotas, or the reason of the failure. Services that do
// not fit in the width follow below. Services that are not offered to any project are only listed.
func (o *outcome) writeMatrix(t Terminal) {
	var missing []string // in all projects
	for _, m := range report.Matrices(o.readings) {
		missing = append(missing, o.writeLevel(t, m)...)
	}
	if len(missing) > 0 {
		_, _ = fmt.Fprintf(t.Out, "%s %s\n", t.paint(faint, "not offered to any project:"), strings.Join(missing, ", "))
	}
}

// writeLevel shows the projects or the accounts, and returns the services that it omits because none of them is offered these.
func (o *outcome) writeLevel(t Terminal, m report.Matrix) []string {
	var all table
	all.add(append([]string{"PROJECT", "ID"}, uppercase(m.Services)...)...)
	for _, project := range m.Projects {
		cells := []string{project.Label, project.ID}
		for _, r := range project.Readings {
			cells = append(cells, o.cell(r))
		}
		all.add(cells...)
	}
	missing := m.NotOffered()
	var columns []int
	for i, service := range m.Services {
		if len(missing) == len(m.Services) || !slices.Contains(missing, service) {
			columns = append(columns, i+2)
		}
	}
	for len(columns) > 0 {
		width, n := all.width(0)+all.width(1)+4, 0
		for n < len(columns) && (n == 0 || width+all.width(columns[n]) <= cmp.Or(t.Width, matrixWidth)) {
			width += all.width(columns[n]) + 2
			n++
		}
		var out table
		for _, row := range all {
			cells := row[:2:2]
			for _, column := range columns[:n] {
				cells = append(cells, row[column])
			}
			out.add(append(cells, "")...)
		}
		out.write(t.Out)
		columns = columns[n:]
	}
	if len(missing) == len(m.Services) {
		return nil
	}
	return missing
}

func uppercase(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, strings.ToUpper(name))
	}
	return all
}

// cell returns the result for a source.
func (o *outcome) cell(r *fleet.Reading) string {
	failure := o.failures[r]
	switch {
	case o.throttled[r]:
		return notChecked
	case r.NotOffered || failure != nil:
		return report.OutcomeOf(r, failure).Text
	default:
		return fmt.Sprintf("ok (%d)", len(r.Quotas))
	}
}
