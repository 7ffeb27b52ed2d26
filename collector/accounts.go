package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"cloud_quota_exporter/internal/fleet"
)

// Accounts is the prometheus.Collector of the accounts' own state.
type Accounts struct {
	read func() []fleet.Account
}

// NewAccounts returns a Collector of what read returns.
func NewAccounts(read func() []fleet.Account) *Accounts { return &Accounts{read} }

// Describe sends every metric that there may be.
func (c *Accounts) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range definitions[accountUp:] {
		ch <- d.desc
	}
}

// Collect sends the metrics of the accounts.
func (c *Accounts) Collect(ch chan<- prometheus.Metric) {
	emit := sender(ch)
	for _, a := range c.read() {
		if a.Asked {
			value := 0.0
			if a.Up {
				value = 1
			}
			emit(accountUp, value, a.Name)
		}
		emit(accountProjects, float64(a.Projects), a.Name)
		emit(accountSkipped, float64(len(a.Skipped)), a.Name)
		if !a.KeysExpire.IsZero() {
			emit(credentialsExpiry, float64(a.KeysExpire.UnixMilli())/1000, a.Name)
		}
	}
}
