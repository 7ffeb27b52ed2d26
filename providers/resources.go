package providers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"cloud_quota_exporter/internal/huaweicloud"
)

const (
	maxResources  = 200 // quotas of one answer; what comes beyond is left out, so that no answer can flood Prometheus
	maxTypeLength = 256 // bytes
	maxUnitLength = 32  // characters, by CES's document
)

// resource is the shape that four of the services share.
type resource struct {
	Type  string `json:"type"`
	Unit  unit   `json:"unit"`
	Used  number `json:"used"`
	Quota number `json:"quota"`
	Min   number `json:"min"`
	Max   number `json:"max"`
}

// unit is a string, or nothing: DCS writes {} and null as well.
type unit string

// UnmarshalJSON never fails: what is no usable unit is none.
func (u *unit) UnmarshalJSON(raw []byte) error {
	*u = unit(unquote(raw))
	if utf8.RuneCountInString(string(*u)) > maxUnitLength || strings.ContainsRune(string(*u), utf8.RuneError) {
		*u = ""
	}
	return nil
}

// dialect is what differs between the services that share the shape.
type dialect struct {
	path     string              // of the API, with its query
	topLevel bool                // whether the list of resources stands at the top level of the answer, not in "quotas"
	typeName func(string) string // from the API's type to resource_type; nil: the same
	noLimit  float64             // the quota by which the document says that there is no limit; 0: it has none
}

// ask is the Quotas of a service.
func (d dialect) ask(ctx context.Context, c *huaweicloud.Client, _ Options) (Result, error) {
	answer, err := c.Get(ctx, cmp.Or(c.QuotaPath, d.path))
	if err != nil {
		return Result{}, err
	}
	return d.parse(answer)
}

// parse makes quotas of an answer.
func (d dialect) parse(answer *huaweicloud.Answer) (Result, error) {
	type list struct {
		Resources []resource `json:"resources"`
	}
	var body struct {
		list
		Quotas list `json:"quotas"`
	}
	if err := decode(answer, &body); err != nil {
		return Result{}, err
	}
	if d.topLevel {
		return d.read(answer, body.Resources)
	}
	return d.read(answer, body.Quotas.Resources)
}

// decode fills v with an answer. Parts of another shape than v's stay empty, and take nothing else along.
func decode(answer *huaweicloud.Answer, v any) error {
	err := json.Unmarshal(answer.Body, v)
	var shape *json.UnmarshalTypeError
	if err == nil || errors.As(err, &shape) {
		return nil
	}
	return answer.Malformed(err.Error())
}

var errFull = fmt.Errorf("more than %d resources in one answer", maxResources)

// read makes quotas of the resources of an answer, and leaves out those that can't be read.
func (d dialect) read(answer *huaweicloud.Answer, resources []resource) (Result, error) {
	result := Result{Quotas: make([]Quota, 0, min(len(resources), maxResources))}
	seen := make(map[string]bool, len(resources))
	for i, r := range resources {
		quota, err := d.quota(r)
		switch {
		case err != nil:
			err = fmt.Errorf("resource %d of %d: %w", i+1, len(resources), err)
		case seen[quota.ResourceType]:
			err = fmt.Errorf("resource %d of %d: type %q is there twice", i+1, len(resources), quota.ResourceType)
		case len(result.Quotas) == maxResources:
			err = errFull
		}
		if err != nil {
			result.Skipped.add(err)
			continue
		}
		seen[quota.ResourceType] = true
		result.Quotas = append(result.Quotas, quota)
	}
	return result.orMalformed(answer)
}

// orMalformed refuses an answer with nothing readable in it.
func (r Result) orMalformed(answer *huaweicloud.Answer) (Result, error) {
	if len(r.Quotas) > 0 {
		return r, nil
	}
	what := "there are no quotas in it"
	if r.Skipped.Count > 0 {
		what += ": " + r.Skipped.Reasons[0].Error()
	}
	return Result{}, answer.Malformed(what)
}

func (d dialect) quota(r resource) (Quota, error) {
	name := r.Type
	if d.typeName != nil {
		name = d.typeName(name)
	}
	if err := checkType(name); err != nil {
		return Quota{}, err
	}
	used, errUsed := r.Used.amount("used")
	limit, errLimit := d.limit(r.Quota)
	lowest, errMin := r.Min.amount("min")
	highest, errMax := r.Max.amount("max")
	err := errors.Join(errUsed, errLimit, errMin, errMax)
	if err == nil && used == nil && limit == nil {
		err = errors.New("neither used nor quota is reported")
	}
	if err != nil {
		return Quota{}, fmt.Errorf("type %q: %w", name, err)
	}
	return Quota{ResourceType: name, Unit: string(r.Unit), Used: used, Limit: limit, Min: lowest, Max: highest}, nil
}

func (d dialect) limit(n number) (*float64, error) {
	if d.noLimit != 0 && n.value != nil && *n.value == d.noLimit {
		none := math.Inf(1)
		return &none, nil
	}
	return n.amount("quota")
}

func checkType(name string) error {
	switch {
	case name == "":
		return errors.New("it has no type")
	case len(name) > maxTypeLength:
		return fmt.Errorf("its type is longer than %d bytes", maxTypeLength)
	case strings.ContainsRune(name, utf8.RuneError): // what the decoder puts in place of bytes that are no UTF-8
		return fmt.Errorf("its type %q is no valid UTF-8", name)
	default:
		return nil
	}
}
