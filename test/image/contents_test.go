package image

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

const (
	certificates = "/etc/ssl/certs/ca-certificates.crt"
	maxSize      = 17_000_000 // bytes of all files
)

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

func TestContents(t *testing.T) {
	image := save(t, built)
	var files []string
	size := 0
	for path, e := range image.files {
		info := e.FileInfo()
		if e.Uid != 0 || e.Gid != 0 || info.Mode().Perm()&0o022 != 0 || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s: %s of %d:%d; want files of root that no one else can change", path, info.Mode(), e.Uid, e.Gid)
		}
		if info.IsDir() {
			continue
		}
		files = append(files, path)
		size += len(e.data)
		t.Logf("%s %9d /%s", info.Mode(), len(e.data), path)
	}
	slices.Sort(files)
	if want := []string{"LICENSE", "cloud_quota_exporter", certificates[1:]}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
	if size > maxSize {
		t.Errorf("%d bytes, want at most %d", size, maxSize)
	}
	trusted, err := os.ReadFile(certificates)
	if err != nil {
		t.Fatal(err)
	}
	if got := image.files[certificates[1:]].data; !bytes.Equal(got, append(trusted, cloud.CA()...)) {
		t.Errorf("the certificates are not those of the Go image")
	}
	checkProgram(t, image, machines[runtime.GOARCH])
}

func TestConfiguration(t *testing.T) {
	image := save(t, built)
	config := image.Config
	if config.User != "65532:65532" {
		t.Errorf("user %q; want a numeric user other than root", config.User)
	}
	if got := slices.Concat(config.Entrypoint, config.Cmd); !slices.Equal(got, []string{"/cloud_quota_exporter"}) {
		t.Errorf("the entrypoint is %q", got)
	}
	for _, variable := range config.Env {
		if !strings.HasPrefix(variable, "PATH=") {
			t.Errorf("the environment has %s", variable)
		}
	}
	if got := slices.Collect(maps.Keys(config.ExposedPorts)); !slices.Equal(got, []string{"10133/tcp"}) {
		t.Errorf("the exposed ports are %q", got)
	}
	delete(config.Labels, "io.buildah.version")
	if want := map[string]string{
		"org.opencontainers.image.title":       "cloud_quota_exporter",
		"org.opencontainers.image.description": "Prometheus exporter for Huawei Cloud quotas",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     version,
		"org.opencontainers.image.revision":    revision,
	}; !reflect.DeepEqual(config.Labels, want) {
		t.Errorf("labels %v, want %v", config.Labels, want)
	}
}

// TestReproducible builds a copy of the files that the Dockerfile needs, with other times, in another directory, and with a secret file beside them.
func TestReproducible(t *testing.T) {
	dir := source(t)
	if err := build(dir, "again"); err != nil {
		t.Fatal(err)
	}
	if first, second := id(t, built), id(t, "again"); first != second {
		t.Errorf("the same source became %s and %s", first, second)
	}
	if err := build(dir, "builder", "--target=build"); err != nil {
		t.Fatal(err)
	}
	var sources []string
	for path := range save(t, "builder").files {
		if name, ok := strings.CutPrefix(path, "src/"); ok && !strings.Contains(name, "/") {
			sources = append(sources, name)
		}
	}
	slices.Sort(sources)
	if want := []string{"LICENSE", "collector", "docs", "go.mod", "go.sum", "internal", "main.go", "providers"}; !slices.Equal(sources, want) {
		t.Errorf("the builder receives %q, want %q", sources, want)
	}
}

// source returns a copy of the files that the Dockerfile needs, with a secret file beside them.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"collector", "deploy/k8s/image", "docs", "internal", "providers"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("../..", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "main.go", "LICENSE", "Dockerfile", ".dockerignore", "Makefile"} {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOtherArchitecture(t *testing.T) {
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	if err := build("../..", other, "--platform=linux/"+other); err != nil {
		t.Fatal(err)
	}
	image := save(t, other)
	if image.Architecture != other {
		t.Errorf("architecture %s, want %s", image.Architecture, other)
	}
	checkProgram(t, image, machines[other])
}

func checkProgram(t *testing.T, image saved, machine elf.Machine) {
	t.Helper()
	program, err := elf.NewFile(bytes.NewReader(image.files["cloud_quota_exporter"].data))
	if err != nil {
		t.Fatal(err)
	}
	if program.Machine != machine {
		t.Errorf("a program for %s, want %s", program.Machine, machine)
	}
	info, err := buildinfo.Read(bytes.NewReader(image.files["cloud_quota_exporter"].data))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "-trimpath", Value: "true"}) {
		t.Errorf("built with %v, want -trimpath: the program contains paths of its builder", info.Settings)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			t.Errorf("the program is not static")
		}
	}
}

func id(t *testing.T, tag string) string {
	t.Helper()
	id, err := command("podman", "image", "inspect", "--format={{.Id}}", tag)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// saved is an image as users get it.
type saved struct {
	Architecture string
	Config       struct {
		User         string
		Entrypoint   []string
		Cmd          []string
		Env          []string
		ExposedPorts map[string]struct{}
		Labels       map[string]string
	}
	files map[string]entry // by path
}

type entry struct {
	*tar.Header

	data []byte
}

// save exports an image and reads it.
func save(t *testing.T, tag string) saved {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	if _, err := command("podman", "save", "--format=docker-archive", "--output="+archive, tag); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	parts := untar(t, data)
	var manifest []struct {
		Config string
		Layers []string
	}
	decode(t, parts["manifest.json"].data, &manifest)
	var s saved
	decode(t, parts[manifest[0].Config].data, &s)
	s.files = map[string]entry{}
	for _, layer := range manifest[0].Layers {
		maps.Copy(s.files, untar(t, parts[layer].data))
	}
	return s
}

func untar(t *testing.T, data []byte) map[string]entry {
	t.Helper()
	entries := map[string]entry{}
	for archive := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		entries[filepath.Clean("/" + header.Name)[1:]] = entry{header, content}
	}
}

func decode(t *testing.T, data []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}
