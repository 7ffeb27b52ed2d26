package collector

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// family is one metric name.
type family int

const (
	used family = iota
	limit
	remaining
	limitMin
	limitMax
	info
	threshold
	projectInfo
	up
	lastSuccess
	cacheTTL
	failureReason
	skipped
	fetches
	failed
	accountUp
	accountProjects
	accountSkipped
	credentialsExpiry
	familyCount
)

// definition describes a family.
type definition struct {
	name, help string
	labels     []string
	service    int // where the label is among those sorted by name; -1 if there is none
	kind       prometheus.ValueType
	desc       *prometheus.Desc
}

// definitions are the quota metrics. Their names, labels, and meanings are stable.
var definitions = [familyCount]definition{
	used: define("used",
		"Amount of the quota in use, in the unit of the API (see cloud_quota_info). Cached: see cloud_quota_last_success_timestamp_seconds.",
		"service", "project", "resource_type"),
	limit: define("limit",
		"Quota limit, in the unit of the API. +Inf if the service reports no limit. Cached. Never sum limits: use the maximum of used/limit.",
		"service", "project", "resource_type"),
	remaining: define("remaining",
		"Limit minus amount in use (can be negative), or the remaining amount if the API reports nothing else. Cached.",
		"service", "project", "resource_type"),
	limitMin: define("limit_min",
		"Lowest limit that can be requested. Absent if the service does not report it. Cached.",
		"service", "project", "resource_type"),
	limitMax: define("limit_max",
		"Highest limit that can be requested. Absent if the service does not report it. Cached.",
		"service", "project", "resource_type"),
	info: define("info",
		"Unit of the quota's values, empty for a count. Always 1. Cached.",
		"service", "project", "resource_type", "unit"),
	threshold: define("threshold_ratio",
		"Ratio of used to limit at which an alert of this severity should fire. Absent for quotas muted in the configuration.",
		"service", "project", "resource_type", "severity"),
	projectInfo: define("project_info",
		"Project ID, region, and account for a project label. Always 1. The project_id is empty until IAM has returned it. Both project_id and region are empty for an account with account-level services.",
		"project", "project_id", "region", "account"),
	up: define("up",
		"1 if the last completed fetch of the quotas succeeded, 0 if it failed. Absent before the first.",
		"service", "project"),
	lastSuccess: define("last_success_timestamp_seconds",
		"Unix timestamp of the last successful fetch of the quotas. Absent before the first.",
		"service", "project"),
	cacheTTL: define("cache_ttl_seconds",
		"Cache TTL of the quotas. A scrape fetches them if they are older. 0 if every scrape fetches them.",
		"service", "project"),
	failureReason: define("last_failure_reason",
		"Reason why the last completed fetch failed. Always 1. Absent if it succeeded.",
		"service", "project", "reason"),
	skipped: define("resources_skipped",
		"Resources in the last valid response that were skipped because they could not be parsed. See the log for the reasons.",
		"service", "project"),
	fetches: define("fetches_total",
		"Completed fetches of the quotas, including failed ones.",
		"service", "project"),
	failed: define("fetch_failures_total",
		"Failed fetches of the quotas.",
		"service", "project"),
	accountUp: define("account_up",
		"1 if the account's last project discovery and last credential lookup succeeded, otherwise 0. Absent before the first.",
		"account"),
	accountProjects: define("account_projects",
		"Monitored projects of the account, both configured and discovered.",
		"account"),
	accountSkipped: define("account_projects_skipped",
		"Discovered projects of the account that are skipped because of a duplicate label, an invalid entry in IAM's list, or max_projects.",
		"account"),
	credentialsExpiry: define("exporter_credentials_expiry_timestamp_seconds",
		"Unix timestamp of the earliest expiry of the credentials in use, which are renewed before then. Absent for permanent keys.",
		"account"),
}

// define makes a family: a counter if its name ends in _total, otherwise a gauge.
func define(name, help string, labels ...string) definition {
	name = "cloud_quota_" + name
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	service := slices.Index(slices.Sorted(slices.Values(labels)), "service")
	return definition{name, help, labels, service, kind, prometheus.NewDesc(name, help, labels, nil)}
}
