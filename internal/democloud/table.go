package democloud

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloud_quota_exporter/internal/cloudsim"
)

//go:embed demo.txt
var demoText string

var demoTable = sync.OnceValue(func() []row { return readTable(demoText) })

// row is a resource of a service in each project; nil if it has none.
type row struct {
	service  string
	projects []*cloudsim.Quota
}

const none = "-"

// readTable parses the rows of demo.txt. It panics if one is malformed.
func readTable(text string) []row {
	var rows []row
	for line := range strings.Lines(text) {
		cells := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(cells) == 0 {
			continue
		}
		r := row{service: cells[0]}
		unit := strings.TrimPrefix(cells[2], none)
		for _, cell := range cells[3:] {
			r.projects = append(r.projects, readQuota(cell, cells[1], unit))
		}
		rows = append(rows, r)
	}
	return rows
}

var quotaForm = regexp.MustCompile(`^(\d+)(?:([~>])(\d+)@(\d+m))?/(-?\d+)(?:\.\.(\d+))?$`)

func readQuota(cell, resourceType, unit string) *cloudsim.Quota {
	if cell == none {
		return nil
	}
	parts := quotaForm.FindStringSubmatch(cell)
	if parts == nil {
		panic(fmt.Sprintf("demo.txt: %s: %q is not a quota", resourceType, cell))
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(parts[i], 10, 64) // 0 if it is missing
		return n
	}
	q := &cloudsim.Quota{Type: resourceType, Unit: unit, Used: number(1), Limit: number(5), Max: number(6)}
	if q.Max > 0 {
		q.Min = 1
	}
	period, _ := time.ParseDuration(parts[4])
	switch from, to := float64(number(1)), float64(number(3)); parts[2] {
	case "~":
		q.Move = wave(from, to, period)
	case ">":
		q.Move = climb(from, to, period)
	}
	return q
}

// wave swings around a middle with a period.
func wave(middle, swing float64, period time.Duration) func(time.Duration) int64 {
	return func(elapsed time.Duration) int64 {
		return int64(math.Round(middle + swing*math.Sin(2*math.Pi*elapsed.Seconds()/period.Seconds())))
	}
}

// climb rises evenly and restarts after a period.
func climb(from, to float64, period time.Duration) func(time.Duration) int64 {
	return func(elapsed time.Duration) int64 {
		return int64(math.Round(from + (to-from)*(elapsed%period).Seconds()/period.Seconds()))
	}
}
