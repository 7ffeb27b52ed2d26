package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
)

// storm is all that happens to the exporter and the cloud.
type storm struct {
	*record

	t        *testing.T
	exporter *exporter
	doors    map[string]*door  // by account
	fixed    map[string]string // what the configuration has of the projects of accounts that state them
	keys     string            // directory of the files with the keys of the account rotated
	over     <-chan struct{}

	faults, befallen, befallenLists         atomic.Int64
	changes, reloads, rotations, come, gone int
}

// rage has everything happen for a time. Each kind of event has chances of its own, so that what the seed gives rise to does not hang on
// what the others are up to.
func (s *storm) rage(duration time.Duration, seed uint64) {
	ctx, cancel := context.WithTimeout(s.t.Context(), duration)
	defer cancel()
	s.over = ctx.Done()
	happenings := []func(*rand.Rand){
		s.changed, s.comeAndGone, s.reloaded, s.rotated, s.unreachable, s.outlasted, s.unlisted,
		s.troubled, s.troubled, s.troubled, s.troubled, s.troubled, s.troubled,
	}
	var all sync.WaitGroup
	for i, happen := range happenings {
		all.Go(func() { happen(rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	all.Wait()
}

// wait waits for a time from least to most, and tells whether there is more to come: that the storm is not over yet.
func (s *storm) wait(chance *rand.Rand, least, most time.Duration) (more bool) {
	select {
	case <-time.After(least + time.Duration(chance.Int64N(int64(most-least)))):
		return true
	case <-s.over:
		return false
	}
}

// changed has quotas change, each every few seconds.
func (s *storm) changed(chance *rand.Rand) {
	for s.wait(chance, 50*time.Millisecond, 150*time.Millisecond) {
		for range 30 {
			s.change(chance)
			s.changes++
		}
	}
}

// comeAndGone has projects appear and vanish, of the account that discovers them.
func (s *storm) comeAndGone(chance *rand.Rand) {
	for s.wait(chance, 500*time.Millisecond, 9*time.Second) {
		there := s.there(discovered)
		if swing := len(there) - discoveredProjects; swing > 4 || swing > -4 && chance.IntN(2) == 0 {
			s.remove(there[chance.IntN(len(there))])
			s.gone++
		} else {
			s.add(discovered, discovered+"/", chance)
			s.come++
		}
	}
}

// reloaded has the exporter load its configuration, which differs each time, and sometimes a broken one before.
func (s *storm) reloaded(chance *rand.Rand) {
	for s.wait(chance, 2*time.Second, 15*time.Second) {
		config := s.configuration(chance)
		if chance.IntN(3) == 0 {
			s.reload(chance, config+"\nnonsense: {}\n", false)
		}
		s.reload(chance, config, true)
	}
}

// reload has the exporter load a configuration by one of the ways there are, which must succeed or not.
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
	deadline := time.After(patience)
	for {
		successful, errFlag := s.exporter.own("cloud_quota_exporter_config_last_reload_successful")
		at, errTime := s.exporter.own("cloud_quota_exporter_config_last_reload_success_timestamp_seconds")
		if err = errors.Join(err, errFlag, errTime); err != nil {
			s.t.Errorf("reload: %v", err)
			return
		}
		if good && successful == "1" && at != before || !good && successful == "0" && at == before {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			s.t.Errorf("reload: not within %s; successful is %s", patience, successful)
			return
		}
	}
}

// own returns one of the exporter's own metrics, which has no labels.
func (e *exporter) own(name string) (string, error) {
	resp, err := http.Get("http://" + e.at + "/metrics?collect[]=exporter")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(page), "\n"+name+" ")
	if !found {
		return "", fmt.Errorf("%s: there is no %s", resp.Status, name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value, nil
}

// rotated has the keys of an account revoked, and others written to their files some time later.
func (s *storm) rotated(chance *rand.Rand) {
	for more := true; more; more = s.wait(chance, 5*time.Second, 30*time.Second) {
		s.rotations++
		t := trouble{account: rotated, from: unix(time.Now())}
		accessKey, secretKey := fmt.Sprintf("AK%d", s.rotations), fmt.Sprintf("SK%d", s.rotations)
		s.cloud.SetKeys(rotated, accessKey, secretKey, "")
		s.wait(chance, time.Millisecond, 3*time.Second)
		if err := writeKeys(s.keys, accessKey, secretKey); err != nil {
			s.t.Error(err)
		}
		t.until = unix(time.Now())
		s.note(t)
	}
}

// writeKeys puts keys in the place of those in files, as who rotates keys does: never half of one.
func writeKeys(dir, accessKey, secretKey string) error {
	var all error
	for name, key := range map[string]string{"access_key": accessKey, "secret_key": secretKey} {
		file := filepath.Join(dir, name)
		all = errors.Join(all, os.WriteFile(file+".new", []byte(key), 0o600), os.Rename(file+".new", file))
	}
	return all
}

// unreachable has the cloud refuse all connections of an account for a time, and cut those that there are.
func (s *storm) unreachable(chance *rand.Rand) {
	for s.wait(chance, 5*time.Second, 30*time.Second) {
		s.refuse(chance, []string{rotated, stated}[chance.IntN(2)])
	}
}

func (s *storm) refuse(chance *rand.Rand, account string) {
	t := trouble{account: account, from: unix(time.Now())}
	s.doors[account].server.Close()
	s.faults.Add(1)
	s.wait(chance, time.Second, 6*time.Second)
	if err := s.doors[account].reopen(s.cloud); err != nil {
		s.t.Error(err)
	}
	t.until = unix(time.Now())
	s.note(t)
}

// door is where the cloud is served to an account.
type door struct {
	address string
	server  *cloudsim.Server
}

func openDoor(t *testing.T, cloud *cloudtest.Cloud) *door {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener.Addr().String(), cloudsim.ServePlain(cloud, listener)}
	t.Cleanup(func() { d.server.Close() })
	return d
}

// reopen serves the cloud where it was served before. Something else may have the port for a moment.
func (d *door) reopen(cloud *cloudtest.Cloud) error {
	deadline := time.Now().Add(patience)
	for {
		listener, err := net.Listen("tcp", d.address)
		if err == nil {
			d.server = cloudsim.ServePlain(cloud, listener)
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		<-time.After(50 * time.Millisecond)
	}
}
