package command

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"cloud_quota_exporter/internal/config"
	"cloud_quota_exporter/internal/huaweicloud"
	"cloud_quota_exporter/internal/printable"
	"cloud_quota_exporter/providers"
)

// Policy holds the flags of policy.
type Policy struct {
	Type  string // "project" or "account"; both if empty
	Level string // "project" or "account", or else both
}

// authorization is one of IAM's two authorization models.
type authorization struct {
	flag, name, version string
	action              func(providers.Action) string
}

var (
	byRole     = authorization{"role", "role/policy authorization", "1.1", func(a providers.Action) string { return a.Role }}
	byIdentity = authorization{"identity", "identity policies", "5.0", func(a providers.Action) string { return a.Identity }}
)

// policyJSON is a custom policy in Huawei Cloud's format. Without resources, it applies to all.
type policyJSON struct {
	Version   string
	Statement []statementJSON
}

type statementJSON struct {
	Effect string
	Action []string
}

// privileges are the permissions that the exporter needs.
type privileges struct {
	actions map[string][]string // by level
	missing map[string][]string // by level; one line for each undocumented action
}

// Run prints the custom policies that the enabled services need, one per level because IAM does not allow both in one policy. Notes
// on them and on missing actions go to stderr. It returns an *ExitError with code 1 if services need actions but none is known. It
// sends no requests.
func (p Policy) Run(ctx context.Context, t Terminal, configFile string) error {
	c, err := p.load(ctx, configFile)
	if err != nil {
		return err
	}
	kind, other := byRole, byIdentity
	if p.Type == byIdentity.flag {
		kind, other = other, kind
	}
	out := &Output{Writer: t.Out}
	need := privilegesOf(c, kind, other)
	var notes []string
	printed, missing := 0, 0
	for _, level := range []string{"project", "account"} {
		if p.Level != "" && p.Level != level {
			continue
		}
		policy := "no policy, because no action is needed"
		if len(need.missing[level]) > 0 {
			policy = "no policy, because no action is known"
		}
		if actions := slices.Compact(slices.Sorted(slices.Values(need.actions[level]))); len(actions) > 0 {
			_ = encode(out, policyJSON{kind.version, []statementJSON{{"Allow", actions}}}) // out keeps the error
			printed++
			policy = fmt.Sprintf("policy %d, for %s", printed, kind.name)
		}
		notes = append(notes, level+"-level services: "+policy)
		for _, line := range need.missing[level] {
			notes = append(notes, "  "+line)
			missing++
		}
	}
	if out.Err != nil {
		return fmt.Errorf("write the result: %w", out.Err)
	}
	for _, line := range append(notes, agencies(c)...) {
		_, _ = fmt.Fprintln(t.Err, printable.Text(line))
	}
	if printed == 0 && missing > 0 {
		return &ExitError{exitFailed, "no policy: no action is known for " + kind.name}
	}
	return nil
}

// load reads the configuration.
func (Policy) load(ctx context.Context, file string) (*config.Config, error) {
	if file == "" {
		return config.FromEnvironment(ctx, providers.All(), anywhere)
	}
	return config.Load(ctx, file, providers.All(), anywhere)
}

// anywhere is os.Getenv for commands that send no requests: if no region is set, any region works.
func anywhere(name string) string {
	value := os.Getenv(name)
	if name == "HW_REGION_NAME" && value+os.Getenv("HUAWEICLOUD_SDK_REGION")+os.Getenv("OS_REGION_NAME") == "" {
		return "any"
	}
	return value
}

// privilegesOf returns the permissions for the enabled services, their options, and the lookup of projects.
func privilegesOf(c *config.Config, kind, other authorization) privileges {
	need := privileges{map[string][]string{}, map[string][]string{}}
	add := func(s providers.Service, option string, a providers.Action) {
		switch level, action := s.API.Level(), kind.action(a); action {
		case providers.NoAction:
		case "":
			need.missing[level] = append(need.missing[level], missing(s, option, other, kind, a))
		default:
			need.actions[level] = append(need.actions[level], action)
		}
	}
	readsProjects := slices.ContainsFunc(c.Accounts, func(a config.Account) bool { return a.Discovery != nil || len(a.Projects) > 0 })
	for _, s := range c.Known {
		settings := c.Services[s.Name]
		if !settings.Enabled || !s.API.Account && !readsProjects {
			continue
		}
		add(s, "", s.API.Action)
		for _, option := range slices.Sorted(maps.Keys(s.OptionActions)) {
			if settings.Options[option] {
				add(s, option, s.OptionActions[option])
			}
		}
	}
	for _, a := range c.Accounts {
		if a.Discovery != nil || slices.ContainsFunc(a.Projects, func(p config.Project) bool { return p.ID == "" }) {
			need.actions["account"] = append(need.actions["account"], huaweicloud.ListProjectsAction)
		}
	}
	return need
}

// missing explains that no action is known, and what to grant instead for a service or its option.
func missing(s providers.Service, option string, other, kind authorization, a providers.Action) string {
	line := s.Name
	if option != "" {
		line += "." + option
	}
	if s.IsOwn() {
		line += ": services." + s.Name + ".api.action has no name for " + kind.name
	} else {
		line += ": action not documented"
	}
	switch action := other.action(a); action {
	case "":
		line += "; grant"
	case providers.NoAction:
		line += "; none is needed with --type " + other.flag + ", otherwise grant"
	default:
		line += "; grant " + action + " (--type " + other.flag + "), or"
	}
	return line + " the " + s.Role()
}

// agencies explains which agency the policies are for if an account assumes one, and what assuming it requires.
func agencies(c *config.Config) []string {
	var lines []string
	for _, a := range c.Accounts {
		if agency := a.Credentials.AssumeAgency; agency != nil {
			lines = append(lines, fmt.Sprintf("account %s: grant this to the agency %s; the credentials that assume it need the role Agent Operator, or a custom policy (version 1.1) with iam:agencies:assume",
				a.Name, agency.AgencyName))
		}
	}
	return lines
}
