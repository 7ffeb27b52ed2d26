// Command release builds the archives of a release from a clone, with their bills of materials and checksums: go run ./test/release
//
// The version is the newest one in CHANGELOG.md ("devel" if that is unreleased). The revision and the date are those of the last commit. Nothing else
// affects the result, so the same commit and the same Go version create identical archives on every machine.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const name = "cloud_quota_exporter"

func main() {
	output := flag.String("output", "dist", "directory for the archives, created if it does not exist")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64", "comma-separated target platforms")
	flag.Parse()
	if err := release(*output, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release writes the archives of some platforms, their bills of materials, and the checksums of all.
func release(dist string, platforms []string) error {
	s, err := readSource()
	if err != nil {
		return err
	}
	fmt.Printf("version %s, revision %s, date %s, %s\n", s.version, s.revision, s.date(), runtime.Version())
	work, err := os.MkdirTemp("", name+"-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	materials := filepath.Join(work, "cyclonedx-gomod")
	if err := goBuild(nil, "-modfile=test/sbom/go.mod", "-o", materials, "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod"); err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil { //nolint:gosec // readable by everyone, like the archives
		return err
	}
	var sums strings.Builder
	for _, platform := range platforms {
		files, err := s.build(platform, work, materials)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dist, f.name), f.data, 0o644); err != nil { //nolint:gosec // as above
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(f.data), f.name)
			fmt.Printf("%10d  %s\n", len(f.data), filepath.Join(dist, f.name))
		}
	}
	return os.WriteFile(filepath.Join(dist, "sha256sums.txt"), []byte(sums.String()), 0o644) //nolint:gosec // as above
}

// build returns the archive for a platform, and its bill of materials.
func (s source) build(platform, work, materials string) ([]file, error) {
	system, processor, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, fmt.Errorf("not a platform; expected system/processor, such as linux/amd64")
	}
	program := name
	if system == "windows" {
		program += ".exe"
	}
	binary := filepath.Join(work, program)
	version := "github.com/prometheus/common/version"
	stamp := fmt.Sprintf("-s -w -X %[1]s.Version=%[2]s -X %[1]s.Revision=%[3]s -X %[1]s.BuildDate=%[4]s", version, s.version, s.revision, s.date())
	if err := goBuild([]string{"GOOS=" + system, "GOARCH=" + processor}, "-ldflags="+stamp, "-o", binary, "."); err != nil {
		return nil, err
	}
	base := fmt.Sprintf("%s-%s.%s-%s", name, s.version, system, processor)
	bill, err := output(materials, "bin", "-json", "-noserial", "-notimestamp", "-std", "-version="+s.version, binary)
	if err != nil {
		return nil, err
	}
	archive, err := s.archive(base, system, binary)
	if err != nil {
		return nil, err
	}
	return []file{archive, {name: base + ".cdx.json", data: bill}}, nil
}

// shipped are the files of an archive in addition to the program. Those below deploy keep their paths, so that the commands of the documents work in
// a clone and in an archive.
var shipped = []string{
	"LICENSE", "config.example.yml", "deploy/alertmanager/*", "deploy/grafana/dashboards/*", "deploy/grafana/provisioning/*/*", "deploy/prometheus/*",
}

// archive packs the program with the files that its users need.
func (s source) archive(base, system, binary string) (file, error) {
	patterns := shipped
	if system == "linux" {
		patterns = append(slices.Clip(patterns), "deploy/systemd/*")
	}
	program, err := os.ReadFile(binary) //nolint:gosec // built above
	if err != nil {
		return file{}, err
	}
	files := []file{{name: base + "/" + filepath.Base(binary), data: program, executable: true}}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			return file{}, fmt.Errorf("no %s found", pattern)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path) //nolint:gosec // the patterns are above
			if err != nil {
				return file{}, err
			}
			files = append(files, file{name: base + "/" + filepath.ToSlash(path), data: data})
		}
	}
	if system == "windows" {
		data, err := zipOf(files, s.time)
		return file{name: base + ".zip", data: data}, err
	}
	data, err := tarOf(files, s.time)
	return file{name: base + ".tar.gz", data: data}, err
}

// goBuild builds without any trace of the machine in the result.
func goBuild(env []string, args ...string) error {
	c := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false"}, args...)...) //nolint:gosec,noctx // Ctrl-C reaches it
	c.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOAMD64=v1", "GOFLAGS="), env...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}

// output runs a program, and returns its output.
func output(program string, args ...string) ([]byte, error) {
	c := exec.Command(program, args...) //nolint:gosec,noctx // as above
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return out, nil
}
