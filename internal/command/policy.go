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

// Policy has the flags of policy.
type Policy struct {
	Type  string // "identity", or else role
	Level string // "project" or "account", or else both
}

// authorization is one of the two ways in which IAM authorizes.
type authorization struct {
	flag, name, version string
	action              func(providers.Action) string
}

var (
	byRole     = authorization{"role", "role/policy authorization", "1.1", func(a providers.Action) string { return a.Role }}
	byIdentity = authorization{"identity", "identity policies", "5.0", func(a providers.Action) string { return a.Identity }}
)

// policyJSON is a custom policy as Huawei writes it. A policy without resources is about all.
type policyJSON struct {
	Version   string
	Statement []statementJSON
}

type statementJSON struct {
	Effect string
	Action []string
}

// privileges are what the exporter has to be granted.
type privileges struct {
	actions map[string][]string // by level
	missing map[string][]string // a line for each action that is not documented, by level
}

// Run prints the custom policies that the enabled services need, one for each level, since a policy can't have both. Which is which, and what
// they lack, goes to stderr. The error is an *ExitError with code 1 if no action is known of services that need some. It asks nothing of the
// cloud.
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

// anywhere is os.Getenv for commands that request nothing: if the environment has no region, any does.
func anywhere(name string) string {
	value := os.Getenv(name)
	if name == "HW_REGION_NAME" && value+os.Getenv("HUAWEICLOUD_SDK_REGION")+os.Getenv("OS_REGION_NAME") == "" {
		return "any"
	}
	return value
}

// privilegesOf returns what the enabled services, their options and the look-up of projects need.
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

// missing says that no action is known, and what covers a service or its option instead.
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

// agencies says to whom the policies belong if an account assumes an agency, and what that takes.
func agencies(c *config.Config) []string {
	var lines []string
	for _, a := range c.Accounts {
		if agency := a.Credentials.AssumeAgency; agency != nil {
			lines = append(lines, fmt.Sprintf("account %s: grant this to the agency %s; the keys that assume it need the role Agent Operator, or a custom policy (version 1.1) with iam:agencies:assume",
				a.Name, agency.AgencyName))
		}
	}
	return lines
}
