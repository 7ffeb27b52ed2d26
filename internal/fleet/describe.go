package fleet

import "cloud_quota_exporter/internal/config"

// Description is what a configuration comes to for one account, before anything is asked of the cloud.
type Description struct {
	Account        string
	Credentials    string  // where the keys come from
	CredentialsErr error   // what is wrong with them on this machine
	Exposed        []error // which files with secrets are open to everybody
	CAFile         string
	Discovery      *config.Discovery // nil: none
	Sources        []Endpoint        // of the projects that are known
}

// Endpoint is where a source is asked.
type Endpoint struct {
	Service string
	Project Project
	URL     string // scheme and host, and the path where it is configured
}

// Describe tells what is configured, in the order of the accounts. Nobody else is asked, but files that can't be read are told.
func (f *Fleet) Describe() []Description {
	v := f.now.Load()
	var all []Description
	for _, a := range v.accounts {
		d := Description{
			Account: a.Name, Credentials: a.auth.Describe(), CredentialsErr: a.auth.Check(), Exposed: a.auth.exposed(),
			CAFile: a.CAFile, Discovery: a.Discovery,
		}
		for _, s := range v.sources {
			if s.account == a {
				d.Sources = append(d.Sources, s.endpoint())
			}
		}
		all = append(all, d)
	}
	return all
}

func (s *source) endpoint() Endpoint {
	c := s.account.client(s.Service, s.service.Host(s.Region), s.Region)
	return Endpoint{
		Service: s.Service,
		Project: s.describe(),
		URL:     c.BaseURL + c.QuotaPath,
	}
}
