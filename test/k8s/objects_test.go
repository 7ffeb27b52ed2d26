package k8s

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// object is one of the objects of a build.
type object struct {
	kind, name string
	text       []byte
	typed      any
}

// typed returns the Go type of a kind.
func typed(kind string) (any, error) {
	switch kind {
	case "apps/v1 Deployment":
		return new(apps.Deployment), nil
	case "v1 Service":
		return new(core.Service), nil
	case "v1 ServiceAccount":
		return new(core.ServiceAccount), nil
	case "v1 ConfigMap":
		return new(core.ConfigMap), nil
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networking.NetworkPolicy), nil
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoring.ServiceMonitor), nil
	case "monitoring.coreos.com/v1 PrometheusRule":
		return new(monitoring.PrometheusRule), nil
	case "monitoring.coreos.com/v1alpha1 ScrapeConfig":
		return new(monitoringalpha.ScrapeConfig), nil
	}
	return nil, fmt.Errorf("%s: a kind that this test doesn't know", kind)
}

// build returns the objects of a kustomization.
func build(t *testing.T, dir string) []object {
	t.Helper()
	out, err := run("go", "tool", "kustomize", "build", dir)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(out)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return objects
}

// decode reads objects strictly: what the types don't know is an error, as is what the operator's CRDs don't take.
func decode(text []byte) ([]object, error) {
	var objects []object
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var meta struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := yaml.Unmarshal(part, &meta); err != nil {
			return nil, err
		}
		o := object{kind: meta.APIVersion + " " + meta.Kind, name: meta.Metadata.Name, text: part}
		var err error
		if o.typed, err = typed(o.kind); err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(part, o.typed); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.kind, o.name, err)
		}
		if err := o.validate(meta.Kind); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// validate checks an object of the operator by the CRD of its kind.
func (o object) validate(kind string) error {
	if !strings.HasPrefix(o.kind, "monitoring.coreos.com/") {
		return nil
	}
	known, err := validators()
	if err != nil {
		return err
	}
	validator, found := known[kind]
	if !found {
		return fmt.Errorf("%s %s: there is no CRD of the kind", o.kind, o.name)
	}
	var value any
	if err := yaml.Unmarshal(o.text, &value); err != nil {
		return err
	}
	if problems := validation.ValidateCustomResource(nil, value, validator); len(problems) > 0 {
		return fmt.Errorf("%s %s: %w", o.kind, o.name, problems.ToAggregate())
	}
	return nil
}

// validators are made of the operator's CRDs, by kind.
var validators = sync.OnceValues(func() (map[string]validation.SchemaValidator, error) {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return nil, err
	}
	made := map[string]validation.SchemaValidator{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var internal apiextensions.CustomResourceValidation
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(crd.Spec.Versions[0].Schema, &internal, nil); err != nil {
			return nil, err
		}
		if made[crd.Spec.Names.Kind], _, err = validation.NewSchemaValidator(internal.OpenAPIV3Schema); err != nil {
			return nil, err
		}
	}
	return made, nil
})

// all returns the objects of a type.
func all[T any](objects []object) (found []*T) {
	for _, o := range objects {
		if v, ok := o.typed.(*T); ok {
			found = append(found, v)
		}
	}
	return found
}
