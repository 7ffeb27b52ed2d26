package fleet

import (
	"context"
	"errors"
	"time"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
)

// localPatience is how long files on this machine are waited for: one on a file server that is down may never come.
const localPatience = 10 * time.Second

// Description is what a configuration comes to for one account, before anything is asked of the cloud.
type Description struct {
	Local

	Account   string
	CAFile    string
	Discovery *config.Discovery // nil: none
	Sources   []Endpoint        // of the projects that are known
}

// Local is what is found on this machine.
type Local struct {
	Credentials    string  // where the keys come from
	CredentialsErr error   // what is wrong with them
	Exposed        []error // which files with secrets are open to everybody
	CAFileErr      error   // what is wrong with the ca_file
}

// Endpoint is where a source is asked.
type Endpoint struct {
	Service string
	Project Project
	URL     string // scheme and host, and the path where it is configured
}

// Describe tells what is configured, in the order of the accounts. Nobody else is asked, but files that can't be read are told, and so are those
// that have not come when ctx ends, or after ten seconds.
func (f *Fleet) Describe(ctx context.Context) []Description {
	ctx, cancel := context.WithTimeout(ctx, localPatience)
	defer cancel()
	v := f.now.Load()
	all := make([]Description, len(v.accounts))
	looks := make([]chan Local, len(v.accounts))
	for i, a := range v.accounts {
		all[i] = Description{Account: a.Name, CAFile: a.CAFile, Discovery: a.Discovery}
		for _, s := range v.sources {
			if s.account == a {
				all[i].Sources = append(all[i].Sources, s.endpoint())
			}
		}
		looks[i] = make(chan Local, 1)
		go func() { looks[i] <- a.look() }() // side by side: an account whose files don't come keeps no other waiting
	}
	for i := range all {
		select {
		case all[i].Local = <-looks[i]:
		case <-ctx.Done():
			all[i].Local = late(looks[i])
		}
	}
	return all
}

// late returns what was found by now.
func late(look <-chan Local) Local {
	select {
	case found := <-look:
		return found
	default:
		return Local{Credentials: "not known", CredentialsErr: errLate}
	}
}

// errLate is why nothing is known of files.
var errLate = errors.New("the files of the account could not be read in time; check the file systems of this machine")

// look reads the account's files. It may never return.
func (a *account) look() Local {
	found := Local{Credentials: a.auth.Describe(), CredentialsErr: a.auth.Check(), Exposed: a.auth.exposed()}
	if a.CAFile != "" {
		found.CAFileErr = huaweicloud.CheckCAFile(a.CAFile)
	}
	return found
}

func (s *source) endpoint() Endpoint {
	c := s.account.client(s.Service, s.service.Host(s.Region), s.Region)
	return Endpoint{
		Service: s.Service,
		Project: s.describe(),
		URL:     c.BaseURL + c.QuotaPath,
	}
}
