// Command cloud_quota_exporter exports the quotas of Huawei Cloud to Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"cloud_quota_exporter/internal/command"
	"cloud_quota_exporter/internal/logqueue"
	"cloud_quota_exporter/internal/printable"
)

const (
	maxUnwritten = 1 << 20     // bytes of log lines waiting for stderr
	flushTimeout = time.Second // for writing the waiting log lines on exit
)

func main() {
	stamp()
	app := kingpin.New("cloud_quota_exporter", "Prometheus exporter for Huawei Cloud quotas.")
	app.HelpFlag.Short('h')
	checkUsage(app)
	app.Version(version.Print("cloud_quota_exporter"))
	configNamed := false
	configFile := app.Flag("config.file", "Path to the configuration file. If not set, one account is configured from the environment.").IsSetByUser(&configNamed).String()
	logLevel := app.Flag("log.level", "Only log messages with the given severity or above.").Default("info").Enum("debug", "info", "warn", "error")
	logFormat := app.Flag("log.format", "Format of log messages, which go to stderr.").Default("logfmt").Enum("logfmt", "json")
	serving := servingFlags(app)
	serve := app.Command("serve", "Expose the quotas of the configured accounts (default command).").Default()
	demo := app.Command("demo", "Expose the quotas of a simulated cloud. No account needed.")
	health := app.Command("healthcheck", "Request /-/healthy from the exporter that runs with the same --web flags. Exits with 1 if it is not healthy or does not respond within 5 seconds.")
	verify, check := checkCommand(app)
	catalogue, services := servicesCommand(app)
	least, policy := policyCommand(app)
	ask, query := queryCommand(app)
	selected, err := app.Parse(os.Args[1:])
	if err == nil && configNamed {
		err = checkConfigFile(*configFile, selected == demo.FullCommand())
	}
	queue := logqueue.New(os.Stderr, maxUnwritten, func(out io.Writer, dropped uint64) { // no command waits for the reader of its log
		_ = level.Warn(newLogs(out, "warn", *logFormat).Program).Log("msg", "Dropped log lines because stderr was not read", "lines", dropped)
	})
	if err != nil {
		end(queue, queue, usageError(err))
	}
	logs := newLogs(queue, *logLevel, *logFormat)
	logs.Dropped = queue.Dropped
	command.RedirectStandardLog(logs)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // a second signal ends the process at once
	stderr := io.Writer(os.Stderr) // progress and results of one-shot commands; not queued
	switch selected {
	case serve.FullCommand():
		stderr = queue
		signal.Ignore(syscall.SIGPIPE) // the reader of the log is gone: lines are dropped
		err = command.Serve(ctx, logs, *serving, *configFile, hangups())
	case demo.FullCommand():
		stderr = queue
		signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // no configuration to reload, and hanging up does not stop it
		err = command.Demo(ctx, logs, *serving, os.Stdout)
	case health.FullCommand():
		err = command.Healthcheck(ctx, *serving)
	case verify.FullCommand():
		err = check.Run(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile)
	case catalogue.FullCommand():
		err = services.Run(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile)
	case least.FullCommand():
		err = policy.Run(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile)
	case ask.FullCommand():
		err = query.Run(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile)
	}
	end(stderr, queue, err)
}

// checkUsage exits with an error if --help or --version cannot be written.
func checkUsage(app *kingpin.Application) {
	out := &command.Output{Writer: os.Stdout}
	app.UsageWriter(out)
	app.Terminate(func(code int) {
		if out.Err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "cloud_quota_exporter:", out.Err)
			code = 1
		}
		os.Exit(code)
	})
}

// servingFlags adds the flags of serve and demo. The result is filled in by parsing.
func servingFlags(app *kingpin.Application) *command.Serving {
	serving := new(command.Serving)
	number(app.Flag("timeout-offset", "Offset to subtract from the Prometheus scrape timeout, in seconds.").Default("0.5"), &serving.TimeoutOffset)
	serving.Web = kingpinflag.AddFlags(app, ":10133")
	app.Flag("web.external-url", "URL under which the exporter is externally reachable, for example behind a reverse proxy. If it has a path, all pages are served below it.").PlaceHolder("<URL>").StringVar(&serving.ExternalURL)
	app.Flag("web.route-prefix", "Prefix for the paths of all pages. Defaults to the path of --web.external-url.").PlaceHolder("<path>").StringVar(&serving.RoutePrefix)
	app.Flag("web.telemetry-path", "Path under which to expose metrics, relative to the route prefix.").Default("/metrics").StringVar(&serving.TelemetryPath)
	app.Flag("web.enable-lifecycle", "Enable configuration reload via POST /-/reload.").BoolVar(&serving.EnableLifecycle)
	return serving
}

// hangups returns the signals that trigger a reload.
func hangups() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup
}

// stamp fills in the version and build date if the build did not set them by -ldflags. The version package finds the commit itself,
// but not its date.
func stamp() {
	if version.Version == "" {
		version.Version = "devel"
	}
	build, ok := debug.ReadBuildInfo()
	if !ok || version.BuildDate != "" {
		return
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.time" {
			version.BuildDate = s.Value
		}
	}
}

// end prints the error, if any, and exits. It does not wait for a reader of stderr longer than flushTimeout.
func end(stderr io.Writer, queue *logqueue.Queue, err error) {
	code := 0
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "cloud_quota_exporter:", printable.Lines(err.Error(), ""))
		code = 1
	}
	if found, ok := errors.AsType[*command.ExitError](err); ok {
		code = found.Code
	}
	queue.Flush(flushTimeout)
	os.Exit(code)
}

// usageError describes an error in the command line.
func usageError(err error) error {
	const help = "--help shows commands and flags"
	if word, found := strings.CutPrefix(err.Error(), "unexpected "); found { // how kingpin reports an unknown command
		return fmt.Errorf("unknown command or argument %q; %s", word, help)
	}
	if _, isFile := errors.AsType[*fs.PathError](err); isFile { // a file of arguments (@name) or an output file
		return err
	}
	return fmt.Errorf("%s; %s", printable.Text(err.Error()), help)
}

// checkConfigFile rejects values of --config.file that cannot be a file, and the flag itself for demo.
func checkConfigFile(name string, demo bool) error {
	switch {
	case demo:
		return errors.New("demo does not support --config.file because its cloud is simulated; run serve instead")
	case name == "":
		return errors.New("--config.file is empty; set the path of a file, or omit the flag to configure one account from the environment")
	case strings.Contains(name, "\n"): // would start a new line in error messages
		return errors.New("--config.file contains a line break; rename the file")
	default:
		return nil
	}
}

// flagValue is the value of a flag. Its error names the flag, unlike kingpin's.
type flagValue[T any] struct {
	value *T
	wants string // the error
	parse func(text string) (T, error)
}

// Set parses the value.
func (f flagValue[T]) Set(text string) error {
	value, err := f.parse(text)
	if err != nil {
		return errors.New(f.wants)
	}
	*f.value = value
	return nil
}

// String shows the value.
func (f flagValue[T]) String() string { return fmt.Sprint(*f.value) }

// number sets a flag's type to number.
func number(flag *kingpin.FlagClause, value *float64) {
	wants := "--" + flag.Model().Name + " must be a number such as 0.5"
	flag.SetValue(flagValue[float64]{value, wants, func(text string) (float64, error) { return strconv.ParseFloat(text, 64) }})
}

// timeout adds the flag --timeout to a one-shot command.
func timeout(c *kingpin.CmdClause, value *time.Duration) {
	const wants = "--timeout must be a duration above 0 with a unit, such as 30s or 5m"
	c.Flag("timeout", "Maximum duration of the command. When it is reached, or on Ctrl-C, the command prints the results so far.").
		Default("5m").SetValue(flagValue[time.Duration]{value, wants, func(text string) (time.Duration, error) {
		value, err := time.ParseDuration(text)
		if err == nil && value <= 0 {
			err = strconv.ErrRange
		}
		return value, err
	}})
}

// checkCommand adds the command check-config. The result is filled in by parsing.
func checkCommand(app *kingpin.Application) (*kingpin.CmdClause, *command.Check) {
	verify := app.Command("check-config", "Validate the configuration and show the result. Exits with 1 if there is a problem.")
	check := new(command.Check)
	verify.Flag("online", "Also fetch every service of every project once, and show how to fix failures.").BoolVar(&check.Online)
	known, _ := command.ServiceNames()
	verify.Flag("service", "With --online, fetch only this service. Repeatable.").HintOptions(known...).StringsVar(&check.Services)
	verify.Flag("project", "With --online, fetch only this project. Repeatable.").StringsVar(&check.Projects)
	timeout(verify, &check.Timeout)
	return verify, check
}

// servicesCommand adds the command services. The result is filled in by parsing.
func servicesCommand(app *kingpin.Application) (*kingpin.CmdClause, *command.Services) {
	catalogue := app.Command("services", "Show the built-in services: API requests, IAM actions, and documentation status. With --config.file, also show your own APIs and which services are enabled.")
	services := new(command.Services)
	catalogue.Flag("output", "Output format.").Default("table").EnumVar(&services.Output, "table", "json")
	return catalogue, services
}

// policyCommand adds the command policy. The result is filled in by parsing.
func policyCommand(app *kingpin.Application) (*kingpin.CmdClause, *command.Policy) {
	least := app.Command("policy", "Print the IAM custom policies that the enabled services need: one for project-level and one for account-level services, as JSON. Permissions that they do not cover are listed on stderr. Exits with 1 if services need permissions but no action is documented.")
	policy := new(command.Policy)
	least.Flag("type", "Authorization model: role (role/policy authorization, version 1.1) or identity (identity policies, version 5.0).").Default("role").EnumVar(&policy.Type, "role", "identity")
	least.Flag("level", "Print only the policy for services of this level: project or account.").EnumVar(&policy.Level, "project", "account")
	return least, policy
}

// queryCommand adds the command query. The result is filled in by parsing.
func queryCommand(app *kingpin.Application) (*kingpin.CmdClause, *command.Query) {
	ask := app.Command("query", "Fetch all quotas now and print them. Exits with 1 if a fetch failed or did not finish, or 2 if a quota is at or above --fail-above.")
	query := new(command.Query)
	known, usual := command.ServiceNames()
	ask.Flag("service", "Only fetch this service, which must be enabled. Repeatable. Enabled by default: "+strings.Join(usual, ", ")+". To list all services, run: cloud_quota_exporter services.").HintOptions(known...).StringsVar(&query.Services)
	ask.Flag("project", "Only fetch this project. Repeatable.").StringsVar(&query.Projects)
	ask.Flag("sort", "Sort by project, or by usage (highest used/limit first).").Default("project").EnumVar(&query.Sort, "project", "usage")
	ask.Flag("output", "Output format.").Default("table").EnumVar(&query.Output, "table", "json")
	timeout(ask, &query.Timeout)
	number(ask.Flag("fail-above", "Used/limit ratio at or above which a quota causes exit code 2, for example 0.9. Muted quotas are ignored."), &query.FailAbove)
	return ask, query
}

func newLogs(out io.Writer, least, format string) command.Logs {
	out = printable.Writer{Writer: out}
	bare := log.NewLogfmtLogger(out)
	if format == "json" {
		bare = log.NewJSONLogger(out)
	}
	bare = level.NewFilter(bare, level.Allow(level.ParseDefault(least, level.InfoValue())))
	return command.Logs{Program: log.With(bare, "time", log.DefaultTimestampUTC, "caller", log.DefaultCaller), Bare: bare}
}
