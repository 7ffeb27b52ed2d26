package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

var (
	soakFor  = flag.Duration("soak", 2*time.Minute, "duration of the faults in TestSoak")
	soakSeed = flag.Uint64("soak.seed", 0, "seed of TestSoak, as logged by an earlier run; 0: random")
)

const (
	soakInterval = 5 * time.Second // of the scrapes of each server
	soakServers  = 4
	soakTTL      = 5 * time.Second
	soakTimeout  = 2 * time.Second
	soakStale    = 45 * time.Second
	soakRefresh  = time.Minute      // the shortest refresh_interval
	soakPause    = 15 * time.Second // after a failure, because cache_ttl is not longer

	// The accounts: one with discovery, one with keys in files, and one with configured projects and keys.
	discovered, rotated, stated = "discovered", "rotated", "stated"

	discoveredProjects, rotatedProjects, statedProjects = 12, 9, 9
)

// TestSoak causes all kinds of faults at once for a long time, and then checks what the Prometheus servers stored.
//
//	go -C test/e2e test -count=1 -timeout 3h -run TestSoak -v -soak 1h .
//
// It does not run in parallel with other tests, because its load is high.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-soak %s -soak.seed %d", *soakFor, seed)
	s := newStorm(t, seed)
	var servers []*prometheus
	for i := range soakServers {
		servers = append(servers, startPrometheus(t, replica(i)+scraping(s.exporter.at, soakInterval)))
	}
	for _, p := range servers {
		p.becomes(t, "count("+numbersOfQuotas+")", fmt.Sprintf(" %d", s.numbers()))
	}

	since, before, stop := time.Now(), s.asked(), s.watch()
	s.rage(*soakFor, seed)
	<-time.After(recovery + 2*soakInterval) // by then, all faults are over
	ended, after := time.Now(), s.asked()
	stop()

	v := &verdict{t: t, record: s.record, since: since, ended: ended, complaints: map[string]int{}}
	for i, p := range servers {
		v.server(fmt.Sprintf("server %d", i), p)
	}
	v.calls(s, before, after)
	for _, format := range slices.Sorted(maps.Keys(v.complaints)) {
		t.Logf("%d times: %s", v.complaints[format], format)
	}
	t.Logf("%s of faults, and the time to recover: %d faults, which affected %d requests; %d changes of quotas, %d reloads, %d rotations of keys, "+
		"%d services disabled or enabled; projects: %d added, %d removed, %d renamed, %d recreated\n%+v",
		*soakFor, s.faults.Load(), s.affected.Load()+s.affectedLists.Load(), s.changes, s.reloads, s.rotations, s.switches, s.come, s.gone, s.renamed, s.recreated, v.figures)
}

// newStorm runs the exporter with a cloud of thirty projects.
func newStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	chance := rand.New(rand.NewPCG(seed, seed))
	s := &storm{t: t, doors: map[string]*door{}, keys: t.TempDir(), disabled: map[string]bool{}}
	if err := writeKeys(s.keys, "AK", "SK"); err != nil {
		t.Fatal(err)
	}
	var accounts []cloudsim.Account
	for _, name := range []string{discovered, rotated, stated} {
		accounts = append(accounts, cloudsim.Account{Name: name, AccessKey: "AK" + name, SecretKey: "SK" + name})
	}
	s.record = newRecord(chance, accounts...)
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
	// A page waits for a service that hangs. On a slow machine, writing such a page also takes long: it has as much time as the fetches.
	s.exporter = configured(t, s.configuration(chance, nil, nil), "--web.enable-lifecycle", "--timeout-offset=2.5")
	return s
}

// numbers counts the values that the exporter exposes if nothing fails.
func (s *storm) numbers() (n int) {
	for _, all := range s.quotas {
		for _, metric := range metricsOfNumbers {
			if !math.IsNaN(all[0].number(metric)) {
				n++
			}
		}
	}
	return n
}

// configuration returns a different configuration each time. If old is not nil, it has next in place of it.
func (s *storm) configuration(chance *rand.Rand, old, next *life) string {
	var config strings.Builder
	config.WriteString("accounts:\n")
	account := func(name, credentials, projects string) {
		fmt.Fprintf(&config, "  - name: %s\n    credentials: {static: {%s}}\n    endpoints: %s\n    %s\n", name, credentials, endpointsAt(s.doors[name].address), projects)
	}
	account(discovered, "access_key: AKdiscovered, secret_key: SKdiscovered", fmt.Sprintf("discovery: {refresh_interval: %s}", soakRefresh))
	account(rotated, fmt.Sprintf("access_key_file: %[1]s/access_key, secret_key_file: %[1]s/secret_key", s.keys), s.projectsOf(rotated, old, next))
	account(stated, "access_key: AKstated, secret_key: SKstated", fmt.Sprintf("domain_id: %s\n    %s", cloudsim.ID(stated), s.projectsOf(stated, old, next)))
	fmt.Fprintf(&config, "services:\n  defaults: {cache_ttl: %s, timeout: %s, max_stale: %s, max_in_flight: %d}\n", soakTTL, soakTimeout, soakStale, 8+chance.IntN(5))
	for _, of := range soaked {
		switch {
		case of.section != "" && s.disabled[of.name]: // it has no section
		case of.section != "":
			fmt.Fprintf(&config, "  %s: {cache_ttl: %s, %s}\n", of.name, soakTTL, of.section)
		default:
			fmt.Fprintf(&config, "  %s: {enabled: %t, cache_ttl: %s}\n", of.name, !s.disabled[of.name], soakTTL)
		}
	}
	fmt.Fprintf(&config, "thresholds: {defaults: {warning: 0.%d, critical: 0.95}}\n", 5+chance.IntN(4))
	return config.String()
}

// projectsOf writes the configured projects of an account, with next in place of old.
func (s *storm) projectsOf(account string, old, next *life) string {
	var list strings.Builder
	list.WriteString("projects:\n")
	for _, l := range s.there(account) {
		if l == old {
			l = next
		}
		fmt.Fprintf(&list, "      - {id: %q, region: %s, name: %s}\n", l.project.ID, l.project.Region, l.label)
	}
	return list.String()
}

// storm is everything that happens to the exporter and the cloud.
type storm struct {
	*record

	t        *testing.T
	exporter *exporter
	doors    map[string]*door // by account
	disabled map[string]bool  // services that the configuration disables
	keys     string           // directory of the key files of the account rotated
	over     <-chan struct{}

	faults, affected, affectedLists atomic.Int64

	changes, reloads, switches, rotations, come, gone int
	renamed, recreated                                int
}

// rage causes everything for a time. Each kind of event has its own random source, so that the events of a seed do not depend on the others.
func (s *storm) rage(duration time.Duration, seed uint64) {
	ctx, cancel := context.WithTimeout(s.t.Context(), duration)
	defer cancel()
	s.over = ctx.Done()
	happenings := []func(*rand.Rand){
		s.changed, s.comeAndGone, s.reloaded, s.rotated, s.unreachable, s.outlasted, s.unlisted,
		s.disturbed, s.disturbed, s.disturbed, s.disturbed, s.disturbed, s.disturbed,
	}
	var all sync.WaitGroup
	for i, happen := range happenings {
		all.Go(func() { happen(rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	all.Wait()
}

// wait waits for a time from least to most, and reports whether the storm continues.
func (s *storm) wait(chance *rand.Rand, least, most time.Duration) (more bool) {
	select {
	case <-time.After(least + time.Duration(chance.Int64N(int64(most-least)))):
		return true
	case <-s.over:
		return false
	}
}

// changed changes quotas, each every few seconds.
func (s *storm) changed(chance *rand.Rand) {
	for s.wait(chance, 50*time.Millisecond, 150*time.Millisecond) {
		for range 30 {
			s.change(chance)
			s.changes++
		}
	}
}

// comeAndGone adds, removes, renames, and recreates projects of the account with discovery.
func (s *storm) comeAndGone(chance *rand.Rand) {
	for s.wait(chance, 500*time.Millisecond, 9*time.Second) {
		there := s.there(discovered)
		l, n := there[chance.IntN(len(there))], chance.IntN(4)
		switch swing := len(there) - discoveredProjects; {
		case n == 0:
			s.rename(l, discovered+"/")
			s.counts(&s.renamed)
		case n == 1:
			s.recreate(l, chance)
			s.counts(&s.recreated)
		case swing > 4 || swing > -4 && n == 2:
			s.remove(l)
			s.gone++
		default:
			s.add(discovered, discovered+"/", chance)
			s.come++
		}
	}
}

// counts counts an event with several possible causes.
func (s *storm) counts(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// reloaded reloads the configuration, which is different each time, and sometimes an invalid one first. Some reloads disable or enable a service, or
// rename or recreate a configured project.
func (s *storm) reloaded(chance *rand.Rand) {
	for s.wait(chance, 2*time.Second, 15*time.Second) {
		var old, next *life
		if chance.IntN(2) == 0 {
			there := s.there([]string{rotated, stated}[chance.IntN(2)])
			old = there[chance.IntN(len(there))]
			next = s.successor(old, chance)
		}
		service := ""
		if chance.IntN(2) == 0 {
			service = s.next(chance)
			s.disabled[service] = !s.disabled[service]
			s.switches++
		}
		config := s.configuration(chance, old, next)
		if chance.IntN(3) == 0 {
			s.reload(chance, config+"\nnonsense: {}\n", false)
		}
		from := unix(time.Now())
		s.reload(chance, config, true)
		by := unix(time.Now())
		if service != "" {
			s.switched(service, !s.disabled[service], from, by)
		}
		if next != nil {
			s.succeeded(old, next, from, by)
			s.counts(map[bool]*int{true: &s.renamed, false: &s.recreated}[next.keeps])
		}
	}
}

// next returns a service to disable or enable. If two are disabled already, it is one of these, so that short runs enable some too.
func (s *storm) next(chance *rand.Rand) string {
	var on, off []string
	for _, of := range soaked {
		switch {
		case s.disabled[of.name]:
			off = append(off, of.name)
		case of.switched:
			on = append(on, of.name)
		}
	}
	if len(off) > chance.IntN(2) {
		return off[chance.IntN(len(off))]
	}
	return on[chance.IntN(len(on))]
}

// reload reloads a configuration in one of the possible ways, and checks whether it succeeds as expected.
func (s *storm) reload(chance *rand.Rand, config string, good bool) {
	s.reloads++
	before, err := s.exporter.own("cloud_quota_exporter_config_last_reload_success_timestamp_seconds")
	err = errors.Join(err, os.WriteFile(s.exporter.config, []byte(config), 0o600))
	if chance.IntN(2) == 0 {
		resp, errPost := http.Post("http://"+s.exporter.at+"/-/reload", "", nil)
		if errPost == nil {
			resp.Body.Close()
			if want := map[bool]int{true: http.StatusOK, false: http.StatusInternalServerError}[good]; resp.StatusCode != want {
				errPost = fmt.Errorf("%s, want %d", resp.Status, want)
			}
		}
		err = errors.Join(err, errPost)
	} else {
		err = errors.Join(err, s.exporter.cmd.Process.Signal(syscall.SIGHUP))
	}
	err = errors.Join(err, await(patience, func() (string, bool) {
		successful, errFlag := s.exporter.own("cloud_quota_exporter_config_last_reload_successful")
		at, errTime := s.exporter.own("cloud_quota_exporter_config_last_reload_success_timestamp_seconds")
		return fmt.Sprintf("successful is %s, %v", successful, errors.Join(errFlag, errTime)),
			good && successful == "1" && at != before || !good && successful == "0" && at == before
	}))
	if err != nil {
		s.t.Errorf("reload: %v", err)
	}
}

// own returns one of the exporter's own metrics, which has no labels.
func (e *exporter) own(name string) (string, error) {
	status, page, err := get("http://" + e.at + "/metrics?collect[]=exporter")
	_, rest, found := strings.Cut(page, "\n"+name+" ")
	if err == nil && !found {
		err = fmt.Errorf("status %d: no %s", status, name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value, err
}

// rotated revokes the keys of an account, and later writes new ones to their files.
func (s *storm) rotated(chance *rand.Rand) {
	for more := true; more; more = s.wait(chance, 5*time.Second, 30*time.Second) {
		s.rotations++
		s.during(scope{account: rotated}, func() {
			accessKey, secretKey := fmt.Sprintf("AK%d", s.rotations), fmt.Sprintf("SK%d", s.rotations)
			s.cloud.SetKeys(rotated, accessKey, secretKey, "")
			s.wait(chance, time.Millisecond, 3*time.Second)
			if err := writeKeys(s.keys, accessKey, secretKey); err != nil {
				s.t.Error(err)
			}
		})
	}
}

// writeKeys replaces key files as someone who rotates keys does: never with half a key.
func writeKeys(dir, accessKey, secretKey string) error {
	var all error
	for name, key := range map[string]string{"access_key": accessKey, "secret_key": secretKey} {
		file := filepath.Join(dir, name)
		all = errors.Join(all, os.WriteFile(file+".new", []byte(key), 0o600), os.Rename(file+".new", file))
	}
	return all
}

// unreachable makes the cloud refuse all connections of an account for a time, and closes existing ones.
func (s *storm) unreachable(chance *rand.Rand) {
	for s.wait(chance, 5*time.Second, 30*time.Second) {
		s.refuse(chance, []string{rotated, stated}[chance.IntN(2)])
	}
}

func (s *storm) refuse(chance *rand.Rand, account string) {
	s.faults.Add(1)
	s.during(scope{account: account}, func() {
		s.doors[account].server.Close()
		s.wait(chance, time.Second, 6*time.Second)
		if err := s.doors[account].open(s.cloud); err != nil {
			s.t.Error(err)
		}
	})
}
