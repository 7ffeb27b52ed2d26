package collector

import (
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

// definition is what Prometheus knows of a family.
type definition struct {
	name, help string
	labels     []string
	kind       prometheus.ValueType
	desc       *prometheus.Desc
}

// definitions are the quota metrics. Their names, labels and meanings are a promise to dashboards and alerts.
var definitions = [familyCount]definition{
	used: define("used",
		"Amount of the quota in use, in the unit of the API (see cloud_quota_info). Cached: see cloud_quota_last_success_timestamp_seconds.",
		"service", "project", "resource_type"),
	limit: define("limit",
		"The quota, in the unit of the API; +Inf where the service says that there is no limit. Cached. Never sum limits: take the maximum of used/limit.",
		"service", "project", "resource_type"),
	remaining: define("remaining",
		"Limit less amount in use (may be negative), or what the API reports where it reports only what remains. Cached.",
		"service", "project", "resource_type"),
	limitMin: define("limit_min",
		"Lowest quota that can be requested, where the service reports it. Cached.",
		"service", "project", "resource_type"),
	limitMax: define("limit_max",
		"Highest quota that can be requested, where the service reports it. Cached.",
		"service", "project", "resource_type"),
	info: define("info",
		"Always 1; the unit of a quota's numbers, empty for a count. Cached.",
		"service", "project", "resource_type", "unit"),
	threshold: define("threshold_ratio",
		"Ratio of used to limit at which an alert of the severity is due; on every quota that is not muted by the configuration.",
		"service", "project", "resource_type", "severity"),
	projectInfo: define("project_info",
		"Always 1; what a project label stands for. The project_id is empty while it is not known, and for an account with account-level services, which has no region either.",
		"project", "project_id", "region", "account"),
	up: define("up",
		"1 if the last finished fetch of the quotas succeeded, 0 if it failed; absent before the first.",
		"service", "project"),
	lastSuccess: define("last_success_timestamp_seconds",
		"When the quotas were read from the API, in seconds since 1970; absent before the first success.",
		"service", "project"),
	cacheTTL: define("cache_ttl_seconds",
		"Cache TTL of the quotas: a scrape fetches them if they are older. 0 if every scrape does.",
		"service", "project"),
	failureReason: define("last_failure_reason",
		"Always 1; why the last finished fetch failed. Only while it did.",
		"service", "project", "reason"),
	skipped: define("resources_skipped",
		"Resources of the last readable answer that were left out since they could not be read; the log tells why.",
		"service", "project"),
	fetches: define("fetches_total",
		"Fetches of the quotas that finished, those that failed among them.",
		"service", "project"),
	failed: define("fetch_failures_total",
		"Fetches of the quotas that failed.",
		"service", "project"),
	accountUp: define("account_up",
		"1 if the last discovery of the account's projects and the last look for its keys succeeded; absent before the first.",
		"account"),
	accountProjects: define("account_projects",
		"Projects of the account that are served, stated and discovered ones.",
		"account"),
	accountSkipped: define("account_projects_skipped",
		"Discovered projects of the account that are left out: the label is taken, the entry in IAM's list cannot be read, or max_projects is reached.",
		"account"),
	credentialsExpiry: define("exporter_credentials_expiry_timestamp_seconds",
		"When the keys or the first of the tokens in use expires, in seconds since 1970; absent for permanent keys. They are fetched anew before.",
		"account"),
}

// define makes a family: a counter if its name says so, else a gauge.
func define(name, help string, labels ...string) definition {
	name = "cloud_quota_" + name
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	return definition{name, help, labels, kind, prometheus.NewDesc(name, help, labels, nil)}
}
