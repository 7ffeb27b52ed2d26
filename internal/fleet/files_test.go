package fleet_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
	"cloud_quota_exporter/internal/cloudsim/cloudtest"
	"cloud_quota_exporter/internal/fleet/fleettest"
)

// TestCAFileThatIsReplaced: a ca_file that is empty, half-written, or missing for a moment has no effect. If it lasts longer, the first scrape after
// the correction succeeds, whether the file was invalid or had other authorities.
func TestCAFileThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig+"services: {defaults: {cache_ttl: 0}, ces: {cache_ttl: 0}}")
		ca, err := os.ReadFile(w.CAFile())
		if err != nil {
			t.Fatal(err)
		}
		const ok, fails = "map[ok:5]", "map[tls:5]"
		wantScrape(t, w, "at first", ok)
		other := cloudtestCA(t)
		lastLine := strings.TrimSuffix(other+string(ca), "TIFICATE-----\n") // without its end
		for name, contents := range map[string]string{"empty": "", "half-written": string(ca[:len(ca)/2]), "written up to the last line": lastLine, "missing": ""} {
			write(filepath.Dir(w.CAFile()), filepath.Base(w.CAFile()), contents)
			if name == "missing" {
				os.Remove(w.CAFile())
			}
			wantScrape(t, w, name, ok)
			pass(29 * time.Second)
			wantScrape(t, w, name+" for 29 seconds", ok)
			for range 20 {
				pass(15 * time.Second)
				w.Scrape(t, time.Minute)
			}
			synctest.Wait()
			wantScrape(t, w, name+" for five minutes", fails)
			pass(time.Second)
			write(filepath.Dir(w.CAFile()), filepath.Base(w.CAFile()), string(ca))
			wantScrape(t, w, "as soon as it is no longer "+name, ok)
		}
		write(filepath.Dir(w.CAFile()), filepath.Base(w.CAFile()), other)
		for range 20 {
			pass(15 * time.Second)
			w.Scrape(t, time.Minute)
		}
		synctest.Wait()
		wantScrape(t, w, "with other authorities", fails)
		pass(time.Second)
		write(filepath.Dir(w.CAFile()), filepath.Base(w.CAFile()), other+string(ca))
		wantScrape(t, w, "as soon as they are complete", ok)
	})
}

// cloudtestCA returns the authority of another cloud.
func cloudtestCA(t *testing.T) string {
	t.Helper()
	ca, err := os.ReadFile(fleettest.New(t, fleettest.Documents(), fleettest.DocumentsConfig).CAFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(ca)
}

// TestPairThatIsReplaced: the access key and the secret key are replaced one after the other. A scrape in between signs with a pair that never was
// valid. When it is rejected, both have been replaced, and the scrape succeeds.
func TestPairThatIsReplaced(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(dir, "ak", "AK")
		write(dir, "sk", "SK")
		w := fleettest.New(t, cloudtest.ManyProjects(), "accounts:\n"+strings.ReplaceAll(keyed(dir, "main"),
			"access_key: AK, secret_key_file: "+filepath.Join(dir, "main"), "access_key_file: "+dir+"/ak, secret_key_file: "+dir+"/sk"))
		wantScrape(t, w, "at first", allRead)
		pass(16 * time.Minute)
		w.Cloud.SetKeys("main", "AK2", "SK2", "")
		write(dir, "ak", "AK2")
		heal := w.Cloud.Inject(cloudtest.Fault{Latency: 100 * time.Millisecond})
		go func() {
			<-time.After(50 * time.Millisecond)
			write(dir, "sk", "SK2")
		}()
		wantScrape(t, w, "while the pair is replaced", allRead)
		heal()
		if got := unauthorized(w); got != 1 {
			t.Errorf("%d failed signatures, want 1", got)
		}
	})
}

// TestSourcesAreFetchedOnceKeysExist: tokens of a project are unavailable for longer than cache_ttl. Nothing was requested from the services, so they
// are fetched as soon as a token is available, at most five minutes after IAM issues tokens again. Their own failures then cause a short pause.
func TestSourcesAreFetchedOnceKeysExist(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(dir, "password", "password-1")
		cloud := cloudtest.New(cloudsim.Account{Name: "main", AccessKey: "AK", SecretKey: "SK", Projects: []cloudsim.Project{
			{ID: prodID, Name: "ap-southeast-3"}, {ID: devID, Name: "ap-southeast-1"},
		}})
		cloud.SetIdentities("main", cloudtest.Identities{Users: []cloudtest.User{{Name: "reader", Password: "password-1"}}})
		w := fleettest.New(t, cloud, `
accounts:
  - name: main
    credentials: {`+strings.ReplaceAll(byPassword, "DIR", dir)+`}
`+unencrypted+`    projects:
      - {id: `+prodID+`, region: ap-southeast-3, name: a}
      - {id: `+devID+`, region: ap-southeast-1, name: b}
services: {defaults: {cache_ttl: 1h}, ces: {cache_ttl: 1h}}
`)
		heal := cloud.Inject(cloudtest.Fault{Service: "iam", Host: "iam.ap-southeast-1.", Status: http.StatusInternalServerError})
		for range 90 {
			w.Scrape(t, 10*time.Second)
			pass(time.Minute)
		}
		wantScrape(t, w, "without a token", "map[credentials:5 ok:5]")
		heal()
		heal = cloud.Inject(cloudtest.Fault{Host: "dcs.ap-southeast-1.", Status: http.StatusInternalServerError})
		for range 6 {
			pass(time.Minute)
			w.Scrape(t, 10*time.Second)
		}
		wantScrape(t, w, "five minutes after tokens are issued again", "map[ok:9 server_error:1]")
		heal()
		w.Scrape(t, 10*time.Second)
		pass(time.Minute)
		w.Scrape(t, 10*time.Second)
		synctest.Wait()
		wantScrape(t, w, "a minute after the failure", "map[ok:10]")
	})
}
