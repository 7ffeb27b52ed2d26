package fleet

import (
	"context"
	"sync"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
)

// describeTimeout is for all files of all accounts to be looked at.
const describeTimeout = 10 * time.Second

// Description is what a configuration comes to for one account, before anything is asked of the cloud.
type Description struct {
	Account        string
	Credentials    string  // where the keys come from
	CredentialsErr error   // what is wrong with them on this machine
	Exposed        []error // which files with secrets are open to everybody
	CAFile         string
	CAFileErr      error             // why it can't be used
	Discovery      *config.Discovery // nil: none
	Sources        []Endpoint        // of the projects that are known
}

// Endpoint is where a source is asked.
type Endpoint struct {
	Service string
	Project Project
	URL     string // scheme and host, and the path where it is configured
}

// Describe tells what is configured, in the order of the accounts. Nobody else is asked, but files that can't be read are told: those of all
// accounts are read side by side, so that a file system that hangs costs its time once.
func (f *Fleet) Describe(ctx context.Context) []Description {
	v := f.now.Load()
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	all := make([]Description, len(v.accounts))
	var looking sync.WaitGroup
	for i, a := range v.accounts {
		looking.Go(func() {
			wrong := a.auth.Check(ctx) // first: what the others say depends on it
			all[i] = Description{
				Account: a.Name, Credentials: a.auth.Status().From, CredentialsErr: wrong, Exposed: a.auth.exposed(ctx),
				CAFile: a.CAFile, Discovery: a.Discovery,
			}
			if a.CAFile != "" {
				all[i].CAFileErr = huaweicloud.CheckCAFile(ctx, a.CAFile)
			}
		})
	}
	looking.Wait()
	for i, a := range v.accounts {
		for _, s := range v.sources {
			if s.account == a {
				all[i].Sources = append(all[i].Sources, s.endpoint())
			}
		}
	}
	return all
}

func (s *source) endpoint() Endpoint {
	c := s.client()
	return Endpoint{
		Service: s.Service,
		Project: s.describe(),
		URL:     c.BaseURL + c.QuotaPath,
	}
}
