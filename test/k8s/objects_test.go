package k8s

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if crd.Spec.Names.Kind != kind || crd.Spec.Group != "monitoring.coreos.com" {
			continue
		}
		var internal apiextensions.CustomResourceValidation
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(crd.Spec.Versions[0].Schema, &internal, nil); err != nil {
			return err
		}
		validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		var value any
		if err := yaml.Unmarshal(o.text, &value); err != nil {
			return err
		}
		if problems := validation.ValidateCustomResource(nil, value, validator); len(problems) > 0 {
			return fmt.Errorf("%s %s: %w", o.kind, o.name, problems.ToAggregate())
		}
	}
	return nil
}

// find returns the only object of a type.
func find[T any](t *testing.T, objects []object) *T {
	t.Helper()
	var found []*T
	for _, o := range objects {
		if v, ok := o.typed.(*T); ok {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want one", len(found), *new(T))
	}
	return found[0]
}
