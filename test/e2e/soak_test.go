package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

var (
	soakFor  = flag.Duration("soak", 2*time.Minute, "how long TestSoak has everything happen")
	soakSeed = flag.Uint64("soak.seed", 0, "what the chances of TestSoak begin with, as an earlier run told it; 0: another one each time")
)

const (
	soakInterval = 3 * time.Second // of the scrapes of each server
	soakServers  = 4
	soakTTL      = 5 * time.Second
	soakTimeout  = 2 * time.Second
	soakStale    = 45 * time.Second
	soakRefresh  = time.Minute      // the shortest refresh_interval
	soakPause    = 15 * time.Second // after a failure, as cache_ttl is no longer

	// The accounts: one that discovers its projects, one with keys in files, and one of which everything is stated.
	discovered, rotated, stated = "discovered", "rotated", "stated"

	discoveredProjects, rotatedProjects, statedProjects = 80, 60, 60
)

// TestSoak lets everything go wrong at once, for a long time, and then asks the Prometheus servers what they stored.
//
//	go -C test/e2e test -count=1 -timeout 3h -run TestSoak -v -soak 1h .
//
// It does not run beside other tests, as it is a load of its own.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-soak %s -soak.seed %d", *soakFor, seed)
	s := newStorm(t, seed)
	var servers []*prometheus
	for i := range soakServers {
		differ := fmt.Sprintf("global: {external_labels: {replica: \"%d\"}}\n", i)
		servers = append(servers, startPrometheus(t, differ+scraping(s.exporter.at, soakInterval)))
	}
	for _, p := range servers {
		p.becomes(t, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", numbersOfScaled*(discoveredProjects+rotatedProjects+statedProjects)))
	}

	since, before, stop := time.Now(), s.asked(), s.watch()
	s.rage(*soakFor, seed)
	<-time.After(recovery + 2*soakInterval) // by then, all is well again
	ended, after := time.Now(), s.asked()
	stop()

	v := &verdict{t: t, record: s.record, since: since, ended: ended}
	for i, p := range servers {
		v.server(fmt.Sprintf("server %d", i), p)
	}
	v.calls(s, before, after)
	t.Logf("%s of faults and as long as it takes to recover: %d faults, which befell %d requests; %d changes of quotas, %d reloads, %d rotations of keys, "+
		"%d projects come, %d gone\n%s", *soakFor, s.faults.Load(), s.befallen.Load()+s.befallenLists.Load(), s.changes, s.reloads, s.rotations, s.come, s.gone, v.figures())
}

// newStorm runs the exporter in front of a cloud of 200 projects.
func newStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	chance := rand.New(rand.NewPCG(seed, seed))
	s := &storm{t: t, doors: map[string]*door{}, keys: t.TempDir()}
	if err := writeKeys(s.keys, "AK", "SK"); err != nil {
		t.Fatal(err)
	}
	var accounts []cloudsim.Account
	for _, name := range []string{discovered, rotated, stated} {
		accounts = append(accounts, cloudsim.Account{Name: name, AccessKey: "AK" + name, SecretKey: "SK" + name})
	}
	s.record = newRecord(accounts...)
	s.cloud.SetKeys(rotated, "AK", "SK", "")
	for _, a := range accounts {
		s.doors[a.Name] = openDoor(t, s.cloud)
	}
	for range discoveredProjects {
		s.add(discovered, discovered+"/", chance)
	}
	for range rotatedProjects {
		s.add(rotated, "", chance)
	}
	for range statedProjects {
		s.add(stated, "", chance)
	}
	s.fixed = projectsOf(s.record)
	// A page waits for a service that hangs. On a slow machine, such a page takes long to write too.
	s.exporter = configured(t, s.configuration(chance), "--web.enable-lifecycle", "--timeout-offset=1.5")
	return s
}

// projectsOf writes the projects of the accounts that state them, as the configuration does.
func projectsOf(r *record) map[string]string {
	projects := map[string]string{}
	for _, account := range []string{rotated, stated} {
		var list strings.Builder
		for _, label := range r.there(account) {
			p := r.lives[label].project
			fmt.Fprintf(&list, "      - {id: %q, region: %s, name: %s}\n", p.ID, p.Region, label)
		}
		projects[account] = list.String()
	}
	return projects
}

// configuration differs each time in what must not change what is read.
func (s *storm) configuration(chance *rand.Rand) string {
	var config strings.Builder
	config.WriteString("accounts:\n")
	account := func(name, credentials, projects string) {
		fmt.Fprintf(&config, "  - name: %s\n    credentials: {static: {%s}}\n    endpoints: %s\n    %s\n", name, credentials, endpointsAt(s.doors[name].address), projects)
	}
	account(discovered, "access_key: AKdiscovered, secret_key: SKdiscovered", fmt.Sprintf("discovery: {refresh_interval: %s}", soakRefresh))
	account(rotated, fmt.Sprintf("access_key_file: %[1]s/access_key, secret_key_file: %[1]s/secret_key", s.keys), "projects:\n"+s.fixed[rotated])
	account(stated, "access_key: AKstated, secret_key: SKstated", "projects:\n"+s.fixed[stated])
	fmt.Fprintf(&config, "services: {defaults: {cache_ttl: %[1]s, timeout: %[2]s, max_stale: %[3]s, max_in_flight: %[4]d}, ces: {cache_ttl: %[1]s}}\n",
		soakTTL, soakTimeout, soakStale, 8+chance.IntN(5))
	fmt.Fprintf(&config, "thresholds: {defaults: {warning: 0.%d, critical: 0.95}}\n", 5+chance.IntN(4))
	return config.String()
}
