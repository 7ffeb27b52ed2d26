// Command cloud_quota_exporter exports the quotas of Huawei Cloud to Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"cloud_quota_exporter/internal/command"
)

func main() {
	if version.Version == "" { // not stamped by a release build
		version.Version = "devel"
	}
	app := kingpin.New("cloud_quota_exporter", "Prometheus exporter for Huawei Cloud quotas.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("cloud_quota_exporter"))
	configFile := app.Flag("config.file", "Configuration file; without one, a single account from the environment is served.").String()
	logLevel := app.Flag("log.level", "Least severe messages that are logged.").Default("info").Enum("debug", "info", "warn", "error")
	logFormat := app.Flag("log.format", "Format of the log, which goes to stderr.").Default("logfmt").Enum("logfmt", "json")
	offset := app.Flag("timeout-offset", "Seconds by which a scrape is answered before Prometheus gives up.").Default("0.5").Float64()
	serving := command.Serving{Web: kingpinflag.AddFlags(app, ":10133")}
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").StringVar(&serving.TelemetryPath)
	app.Flag("web.enable-lifecycle", "Let POST /-/reload load the configuration anew.").BoolVar(&serving.EnableLifecycle)
	serve := app.Command("serve", "Serve the quotas of the configured accounts. The default command.").Default()
	demo := app.Command("demo", "Serve the quotas of a simulated cloud; no account is needed.")
	check := app.Command("check-config", "Tell what the configuration comes to. Exit code 1 where something is wrong.")
	online := check.Flag("online", "Ask every service of every project once, and tell how to mend what fails.").Bool()
	ask, query := queryCommand(app)

	selected := kingpin.MustParse(app.Parse(os.Args[1:]))
	serving.TimeoutOffset = -1 // refused, as are numbers that no time.Duration holds
	if *offset >= 0 && *offset < math.MaxInt32 {
		serving.TimeoutOffset = time.Duration(*offset * float64(time.Second))
	}
	logs := newLogs(*logLevel, *logFormat)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var err error
	switch selected {
	case serve.FullCommand():
		err = command.Serve(ctx, logs, serving, *configFile, hangups())
	case demo.FullCommand():
		err = command.Demo(ctx, logs, serving, os.Stdout)
	case check.FullCommand():
		err = command.CheckConfig(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile, *online)
	case ask.FullCommand():
		err = query().Run(ctx, command.NewTerminal(os.Stdout, os.Stderr), *configFile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cloud_quota_exporter:", err)
		os.Exit(exitCode(err))
	}
}

// hangups are the signals at which the configuration is loaded anew.
func hangups() <-chan os.Signal {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup
}

func exitCode(err error) int {
	if found, ok := errors.AsType[*command.ExitError](err); ok {
		return found.Code
	}
	return 1
}

// queryCommand adds the command query; what it returns tells its flags after parsing.
func queryCommand(app *kingpin.Application) (*kingpin.CmdClause, func() command.Query) {
	ask := app.Command("query", "Read all quotas now and show them. Exit code 1 where a read failed, 2 where a quota is at or above --fail-above.")
	services := ask.Flag("service", "Only this service. Repeatable.").Strings()
	projects := ask.Flag("project", "Only this project. Repeatable.").Strings()
	order := ask.Flag("sort", "Order: by project, or by how near the limit.").Default("project").Enum("project", "usage")
	output := ask.Flag("output", "Form of the answer.").Default("table").Enum("table", "json")
	above := ask.Flag("fail-above", "Ratio of used to limit from which on a quota makes the exit code 2, such as 0.9.").Float64()
	return ask, func() command.Query {
		return command.Query{
			Services:  *services,
			Projects:  *projects,
			SortUsage: *order == "usage",
			JSON:      *output == "json",
			FailAbove: *above,
		}
	}
}

func newLogs(least, format string) command.Logs {
	out := log.NewSyncWriter(os.Stderr)
	bare := log.NewLogfmtLogger(out)
	if format == "json" {
		bare = log.NewJSONLogger(out)
	}
	bare = level.NewFilter(bare, level.Allow(level.ParseDefault(least, level.InfoValue())))
	return command.Logs{Program: log.With(bare, "time", log.DefaultTimestampUTC, "caller", log.DefaultCaller), Bare: bare}
}
