package config

import (
	"context"
	"maps"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/secret"
)

// Overruled returns the effects of the process's variables and of the profiles for a file with accounts: they provide keys if the
// file does not define them, and otherwise have no effect. environ is like os.Environ.
func (c *Config) Overruled(ctx context.Context, environ []string) []Decision {
	values := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = secret.Trim(value)
	}
	e := &environment{getenv: func(name string) string { return values[name] }}
	e.keys = e.setKeys()
	const why = "overridden by the configuration file"
	if slices.ContainsFunc(c.Accounts, Account.usesVariables) && len(e.keys) > 0 {
		e.keyDecisions("keys, if the file does not define them")
	} else {
		for _, names := range KeyVariables {
			e.passOver(names[:], why)
		}
	}
	stated := c.stated()
	choosing := slices.Concat(regionNames, projectIDNames, projectNameNames, domainIDNames, domainNameNames, userNames, passwordNames,
		cloudNames, iamNames, stsNames, idpNames, tokenFileNames, agencyNames, agencyOfNames, agencyOfIDNames, durationNames, slices.Collect(maps.Keys(refusedVariables)), slices.Collect(maps.Keys(unusedVariables)))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if (strings.HasPrefix(name, endpointPrefix) || slices.Contains(choosing, name)) && !stated[plainValue(values[name])] {
			e.passOver([]string{name}, why)
		}
	}
	e.profileDecisions(ctx, c.Accounts, stated, why)
	return e.decisions
}

// profileDecisions records which values of the profiles in use the file overrides, and whether the variable that names a profile is
// used.
func (e *environment) profileDecisions(ctx context.Context, accounts []Account, stated map[string]bool, why string) {
	read := map[Profile]bool{}
	for _, a := range accounts {
		p, ok := a.profile(len(e.keys) > 0)
		if !ok || read[p] {
			continue
		}
		read[p] = true
		path, section, _ := p.At(e.getenv)
		profile, _ := p.Read(ctx, e.getenv) // the credentials report the error
		for _, key := range []string{"project_id", "domain_id", "iam_endpoint"} {
			if value := profile[key]; value != "" && !stated[plainValue(value)] {
				e.decide(key+" of "+path+", section "+section, "nothing: "+why)
			}
		}
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(read)), func(p Profile) bool { return p.File == "" }) {
		e.noteSet([]string{profileVariable}, "file of the profile")
	} else {
		e.passOver([]string{profileVariable}, why)
	}
}

// usesVariables reports whether the keys of the account may come from variables.
func (a Account) usesVariables() bool {
	return a.Credentials.kindIsOpen() || a.Credentials.Environment != nil
}

// profile returns the profile that provides the keys of the account, if any.
func (a Account) profile(keysInVariables bool) (Profile, bool) {
	if p := a.Credentials.Profile; p != nil {
		return *p, true
	}
	return Profile{}, a.Credentials.kindIsOpen() && !keysInVariables
}

// kindIsOpen reports whether no kind is set, so that the default chain is used.
func (c Credentials) kindIsOpen() bool {
	c.AssumeAgency = nil
	return c == Credentials{}
}

// plainValue normalizes equivalent endpoints.
func plainValue(text string) string {
	if strings.Contains(text, "://") {
		return iamURL(text)
	}
	return text
}

// stated returns which settings of variables and profiles the accounts define.
func (c *Config) stated() map[string]bool {
	all := map[string]bool{}
	add := func(texts ...string) {
		for _, text := range texts {
			all[plainValue(text)] = true
		}
	}
	for _, a := range c.Accounts {
		add(a.Cloud, a.DomainID)
		for _, p := range a.Projects {
			add(p.ID, p.Region, p.Name)
		}
		if a.Discovery != nil {
			add(a.Discovery.Regions...)
		}
		for _, endpoint := range a.Endpoints {
			add(slices.Collect(maps.Values(endpoint))...)
		}
		if agency := a.Credentials.AssumeAgency; agency != nil {
			add(agency.AgencyName, agency.DomainName, agency.DomainID)
		}
		if o := a.Credentials.OIDC; o != nil {
			add(o.IDPID, o.TokenFile)
		}
		if p := a.Credentials.Password; p != nil {
			add(p.UserName, p.DomainName)
		}
	}
	return all
}
