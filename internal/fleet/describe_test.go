package fleet_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/fleet"
)

// TestDescribeWaitsForNoFileThatNeverComes: of one account nothing can be read, as if a file server were down. The other one is described.
func TestDescribeWaitsForNoFileThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		f := fleet.New(fleet.Options{Getenv: func(string) string {
			<-never
			return ""
		}})
		c, err := config.Parse("test.yml", []byte(`accounts:
  - name: dead
    credentials: {environment: {}}
    ca_file: /nowhere
    projects: [{region: ap-southeast-1}]
  - name: alive
    credentials: {static: {access_key: AK, secret_key_file: /nowhere}}
    ca_file: /nowhere
    projects: [{region: ap-southeast-3}]
`), config.Known{}, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		f.Load(c)
		for _, tc := range []struct{ time, took time.Duration }{{time.Minute, 10 * time.Second}, {time.Second, time.Second}} {
			ctx, cancel := context.WithTimeout(t.Context(), tc.time)
			start := time.Now()
			accounts := f.Describe(ctx)
			cancel()
			dead, alive := accounts[0], accounts[1]
			if took := time.Since(start); took != tc.took || dead.Account != "dead" || dead.CredentialsErr == nil ||
				!strings.Contains(dead.CredentialsErr.Error(), "could not be read in time; check the file systems") {
				t.Errorf("after %s: %+v", took, dead)
			}
			if alive.Credentials == "" || alive.CredentialsErr == nil || alive.CAFileErr == nil || !strings.Contains(alive.CredentialsErr.Error(), "no such file") {
				t.Errorf("the other account: %+v", alive)
			}
		}
		close(never)
	})
}
