package collector

import "github.com/prometheus/client_golang/prometheus"

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
	used: gauge("used",
		"Amount of the quota in use, in the unit of the API (see cloud_quota_info). Cached: see cloud_quota_last_success_timestamp_seconds.",
		"service", "project", "resource_type"),
	limit: gauge("limit",
		"The quota, in the unit of the API; +Inf where the service says that there is no limit. Cached. Never sum limits: take the maximum of used/limit.",
		"service", "project", "resource_type"),
	remaining: gauge("remaining",
		"Limit less amount in use (may be negative), or what the API reports where it reports only what remains. Cached.",
		"service", "project", "resource_type"),
	limitMin: gauge("limit_min",
		"Lowest quota that can be requested, where the service reports it. Cached.",
		"service", "project", "resource_type"),
	limitMax: gauge("limit_max",
		"Highest quota that can be requested, where the service reports it. Cached.",
		"service", "project", "resource_type"),
	info: gauge("info",
		"Always 1; the unit of a quota's numbers, empty for a count. Cached.",
		"service", "project", "resource_type", "unit"),
	threshold: gauge("threshold_ratio",
		"Ratio of used to limit at which an alert of the severity is due; on every quota that is not muted by the configuration.",
		"service", "project", "resource_type", "severity"),
	projectInfo: gauge("project_info",
		"Always 1; what a project label stands for. The project_id is empty while IAM has not told it.",
		"project", "project_id", "region", "account"),
	up: gauge("up",
		"1 if the last finished fetch of the quotas succeeded, 0 if it failed; absent before the first.",
		"service", "project"),
	lastSuccess: gauge("last_success_timestamp_seconds",
		"When the quotas were read from the API, in seconds since 1970; absent before the first success.",
		"service", "project"),
	failureReason: gauge("last_failure_reason",
		"Always 1; why the last finished fetch failed. Only while it did.",
		"service", "project", "reason"),
	skipped: gauge("resources_skipped",
		"Resources of the last readable answer that were left out since they could not be read; the log tells why.",
		"service", "project"),
	fetches: counter("fetches_total",
		"Fetches of the quotas that finished, those that failed among them.",
		"service", "project"),
	failed: counter("fetch_failures_total",
		"Fetches of the quotas that failed.",
		"service", "project"),
	accountUp: gauge("account_up",
		"1 if the last discovery of the account's projects and the last look for its keys succeeded; absent before the first.",
		"account"),
	accountProjects: gauge("account_projects",
		"Projects of the account that are served, stated and discovered ones.",
		"account"),
	accountSkipped: gauge("account_projects_skipped",
		"Discovered projects of the account that are left out, since another one has their label.",
		"account"),
	credentialsExpiry: gauge("exporter_credentials_expiry_timestamp_seconds",
		"When the keys or the first of the tokens in use expires, in seconds since 1970; absent for permanent keys. They are fetched anew before.",
		"account"),
}

func gauge(name, help string, labels ...string) definition {
	return define(name, help, prometheus.GaugeValue, labels)
}

func counter(name, help string, labels ...string) definition {
	return define(name, help, prometheus.CounterValue, labels)
}

func define(name, help string, kind prometheus.ValueType, labels []string) definition {
	name = "cloud_quota_" + name
	return definition{name, help, labels, kind, prometheus.NewDesc(name, help, labels, nil)}
}
