package e2e

import (
	"fmt"
	"slices"
	"strings"
)

// quota is what Prometheus must know of one quota, in its own words; an empty number is one that must not be there.
type quota struct {
	project, service, resourceType string

	used, limit, remaining string
	ratio                  string // used/limit
	unit                   string
}

// quotas are all quotas of newCloud. The numbers of the first project are those of the API documents; that it has 2 audit instances
// makes 3 of the 1 that remains.
var quotas = []quota{
	{examples, "cts", "data_tracker", "9", "100", "91", "0.09", ""},
	{examples, "cts", "system_tracker", "1", "1", "0", "1", ""},
	{examples, "ces", "alarm", "10", "1000", "990", "0.01", ""},
	{examples, "taurusdb", "instance", "4", "50", "46", "0.08", ""},
	{examples, "dcs", "instance", "3", "10", "7", "0.3", ""},
	{examples, "dcs", "ram", "22", "800", "778", "0.0275", "GB"},
	{examples, "dbss", "audit_instance", "2", "3", "1", "0.6666666666666666", ""},
	{examples, "dbss", "cpu", "", "", "796", "", ""},
	{examples, "dbss", "ram", "", "", "1622016", "", "MB"},

	{named, "cts", "data_tracker", "5", "100", "95", "0.05", ""},
	{named, "cts", "system_tracker", "1", "1", "0", "1", ""},
	{named, "ces", "alarm", "93", "100", "7", "0.93", "count"},
	{named, "taurusdb", "instance", "9", "+Inf", "+Inf", "0", ""}, // -1 there, no limit
	{named, "dcs", "instance", "11", "10", "-1", "1.1", ""},       // more than the limit, which was lowered
	{named, "dcs", "ram", "8", "64", "56", "0.125", "GB"},
	{named, "dbss", "audit_instance", "0", "1", "1", "0", ""},
	{named, "dbss", "cpu", "", "", "800", "", ""},
	{named, "dbss", "ram", "", "", "1638400", "", "MB"},
}

const (
	// numbersOfQuotas selects the metrics with the numbers.
	numbersOfQuotas = `{__name__=~"cloud_quota_(used|limit|remaining)"}`
	// changesOfNumbers is how often they changed lately, which those of newCloud never do.
	changesOfNumbers = "max(changes(cloud_quota_used[10m])) + max(changes(cloud_quota_limit[10m])) + max(changes(cloud_quota_remaining[10m]))"
)

// numbers is the value of numbersOfQuotas, without that of a service if one is named.
func numbers(without string) string {
	kept := slices.DeleteFunc(slices.Clone(quotas), func(q quota) bool { return q.service == without })
	return lines(
		metric("cloud_quota_used", kept, func(q quota) string { return q.used }),
		metric("cloud_quota_limit", kept, func(q quota) string { return q.limit }),
		metric("cloud_quota_remaining", kept, func(q quota) string { return q.remaining }),
	)
}

// metric writes the series of one number of quotas.
func metric(name string, of []quota, number func(quota) string) []string {
	var all []string
	for _, q := range of {
		if n := number(q); n != "" {
			all = append(all, fmt.Sprintf("%s{project=%q,resource_type=%q,service=%q} %s", name, q.project, q.resourceType, q.service, n))
		}
	}
	return all
}

// sources writes the series of a metric that each service of each project has; value is that of a service.
func sources(name string, value func(service string) string) string {
	var all []string
	for _, project := range []string{examples, named} {
		for _, service := range []string{"cts", "ces", "taurusdb", "dcs", "dbss"} {
			if v := value(service); v != "" {
				all = append(all, fmt.Sprintf("%s{project=%q,service=%q} %s", name, project, service, v))
			}
		}
	}
	return lines(all)
}

// always is the same value for every service, except is another one for a single service.
func always(value string) func(string) string { return func(string) string { return value } }

func except(service, other, value string) func(string) string {
	return func(s string) string {
		if s == service {
			return other
		}
		return value
	}
}

// lines joins and sorts series, as text writes what Prometheus answers.
func lines(parts ...[]string) string {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return strings.Join(all, "\n")
}
