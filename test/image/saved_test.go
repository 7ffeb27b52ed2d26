package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// saved is an image as its users get it.
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
		for path, e := range untar(t, parts[layer].data) {
			s.files[path] = e
		}
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
