package providers

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cloud_quota_exporter/internal/huaweicloud"
)

const (
	maxResources  = 200 // quotas of one response; the rest is skipped, so that no response can flood Prometheus
	maxTypeLength = 256 // bytes
	maxUnitLength = 32  // characters, according to CES's documentation
)

// Decode decodes the quotas in a response. Invalid resources are skipped and counted. The error for a response without any quota is
// a *huaweicloud.MalformedError, which shows the fields that were tried and the start of the response.
func (a *API) Decode(answer *huaweicloud.Answer) (Result, error) {
	whole, err := parse(answer.Body)
	if err != nil {
		return Result{}, answer.Malformed(err.Error())
	}
	d := decoding{API: a, members: make(object, 0, 8)}
	list := d.find(whole)
	switch {
	case list.isList():
		d.several = list
		for _, row := range list.each {
			d.row("", row)
		}
	case list.isObject() && a.name.usesKey() && len(a.Pairs) == 0:
		d.several = list
		for key, row := range list.each {
			d.member(key.text(), row)
		}
	case list.isObject():
		d.row("", list)
	}
	if len(d.Quotas) == 0 {
		return Result{}, answer.Malformed(fmt.Sprintf("no quotas in it: %s (tried %s)", d.nothing(list), d.tried()))
	}
	return d.Result, nil
}

// decoding is the state of decoding one response.
type decoding struct {
	*API
	Result

	several value  // the list or map whose resources are numbered; nil if there is one object
	number  int    // of the current resource
	members object // of the current resource
	omitted int    // by Skip
	seen    map[string]bool
}

// find returns the list, map, or object, or nil.
func (d *decoding) find(whole value) value {
	for _, path := range d.List {
		found := whole
		if path != "" {
			found = whole.object(nil).at(path)
		}
		if found.isList() || found.isObject() {
			return found
		}
	}
	return nil
}

// nothing explains why a response has no quotas.
func (d *decoding) nothing(list value) string {
	kind := "object"
	if list.isList() {
		kind = "list"
	}
	switch {
	case list == nil:
		return "neither a list nor an object found"
	case d.Skipped.Count > 0:
		return d.Skipped.Reasons[0].Error()
	case d.omitted > 0:
		return fmt.Sprintf("skip matches all %d resources", d.omitted)
	case list.len() == 0:
		return "the " + kind + " is empty"
	case len(d.Pairs) > 0:
		return "no value is reported"
	default:
		return " no resource in the " + kind
	}
}

// tried lists where quotas were searched, with the keys of the description.
func (d *decoding) tried() string {
	var lists []string
	for _, path := range d.List {
		lists = append(lists, cmp.Or(path, "the top level"))
	}
	tried := "list " + strings.Join(lists, " or ")
	if len(d.Pairs) == 0 || d.name.usesKey() {
		tried += ", type " + d.Type
	}
	var fields []string
	for _, p := range d.Pairs {
		fields = append(fields, p.names()...)
	}
	tried += ", fields " + strings.Join(append(fields, d.names()...), ", ")
	const most = 1000 // bytes; a description can have any number of fields
	if len(tried) > most {
		tried = strings.ToValidUTF8(tried[:most], "") + "..."
	}
	return tried
}

// member decodes one member of a map. Members that are not objects describe the map, such as EVS's id.
func (d *decoding) member(key string, from value) {
	switch {
	case from.isObject() && key != "":
		d.row(key, from)
	case from.isObject() || from.isList():
		d.number++
		d.leaveOut(errNoResource)
	default:
		d.number++
	}
}

// row decodes one element of the list, which is one resource unless the API has pairs.
func (d *decoding) row(key string, from value) {
	d.number++
	d.members = from.object(d.members)
	switch {
	case len(d.Pairs) == 0:
		d.add(d.name.fill(key, d.members), d.Fields, d.members.at(d.Unit).text())
	case from.isObject():
		d.pairs()
	default:
		d.leaveOut(errNoResource)
	}
}

// pairs decodes the resources of one object, which need not have all of them.
func (d *decoding) pairs() {
	before := len(d.Quotas) + d.Skipped.Count + d.omitted
	for i := range d.Pairs {
		pair := &d.Pairs[i]
		name := pair.Type
		if d.name.usesKey() {
			name = d.name.fill(pair.Type, d.members)
		}
		d.add(name, pair.Fields, pair.Unit)
	}
	if d.several != nil && len(d.Quotas)+d.Skipped.Count+d.omitted == before {
		d.leaveOut(errNothing)
	}
}

var (
	errNoResource = errors.New("it is not a resource")
	errNothing    = errors.New("no value is reported")
	errFull       = fmt.Errorf("more than %d resources in one response", maxResources)
)

// add decodes one resource, or counts it as skipped. unit is that of the response or the pair.
func (d *decoding) add(name string, fields Fields, unit string) {
	name = trimType(name)
	if renamed, ok := d.Rename[name]; ok {
		name = renamed
	}
	if err := d.checkType(name); err != nil {
		d.leaveOut(err)
		return
	}
	if d.Skip != nil && d.Skip.MatchString(name) {
		d.omitted++
		return
	}
	quota, err := d.quota(name, fields)
	switch {
	case err == errNothing: //nolint:errorlint // never wrapped
		return // the object has no such fields
	case err == nil && d.seen[name]:
		err = fmt.Errorf("duplicate type %q", name)
	case err == nil && len(d.Quotas) == maxResources:
		err = errFull
	}
	if err != nil {
		d.leaveOut(err)
		return
	}
	if d.seen == nil {
		d.seen, d.Quotas = map[string]bool{}, make([]Quota, 0, 4) // nearly all responses have at most four
	}
	quota.Unit = d.unit(name, unit)
	d.seen[name] = true
	d.Quotas = append(d.Quotas, quota)
}

// trimType removes trailing characters that some responses have: TaurusDB's example has "instance,".
func trimType(name string) string { return strings.TrimRight(name, ", ") }

// leaveOut counts an invalid resource. If there are several resources, the reason has its number.
func (d *decoding) leaveOut(why error) {
	if d.several != nil && d.Skipped.Count < huaweicloud.MaxReasons {
		why = fmt.Errorf("resource %d of %d: %w", d.number, d.several.len(), why)
	}
	d.Skipped.Add(why)
}

func (d *decoding) quota(name string, fields Fields) (Quota, error) {
	used, errUsed := d.amount(fields.Used, nil)
	limit, errLimit := d.amount(fields.Limit, d.NoLimit)
	if limit != nil && math.IsInf(*limit, 1) {
		fields.Remaining = "" // it has no limit either, whatever the response has
	}
	remaining, errRemaining := d.amount(fields.Remaining, nil)
	err := errors.Join(errUsed, errLimit, errRemaining)
	nothing := err == nil && used == nil && limit == nil && remaining == nil
	switch {
	case len(d.Pairs) > 0 && nothing:
		return Quota{}, errNothing
	case len(d.Pairs) > 0 && err != nil:
		return Quota{}, err // it names the field, which is clearer than the type
	case nothing:
		err = errors.New(noneReported(fields.names()))
	}
	if err != nil {
		return Quota{}, fmt.Errorf("type %q: %w", name, err)
	}
	q := Quota{ResourceType: name, Used: used, Limit: limit, Remaining: remaining}
	if len(d.Pairs) == 0 { // an invalid range only invalidates the range, not the resource
		q.Min, _ = d.amount(d.Min, nil)
		q.Max, _ = d.amount(d.Max, nil)
	}
	return q, nil
}

// noneReported reports that none of these fields has a value.
func noneReported(fields []string) string {
	switch len(fields) {
	case 1:
		return fields[0] + " is not reported"
	case 2:
		return fmt.Sprintf("neither %s nor %s is reported", fields[0], fields[1])
	default:
		return fmt.Sprintf("none of %s is reported", strings.Join(fields, ", "))
	}
}

func (d *decoding) checkType(name string) error {
	switch {
	case name == "" && d.Type == defaultType:
		return errors.New("it has no type")
	case name == "":
		return fmt.Errorf("it has no type (%.200s)", d.Type)
	case len(name) > maxTypeLength:
		return fmt.Errorf("its type is longer than %d bytes", maxTypeLength)
	case strings.ContainsRune(name, utf8.RuneError): // also found if bytes are not UTF-8
		return fmt.Errorf("its type %q is not valid UTF-8", name)
	default:
		return nil
	}
}

// amount decodes a field of the resource as an amount. noLimit is the value that means "no limit"; nil: none.
func (d *decoding) amount(field string, noLimit *float64) (*float64, error) {
	if field == "" {
		return nil, nil
	}
	n, err := d.members.at(field).number()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %w", field, err)
	case n == nil:
		return nil, nil
	case noLimit != nil && *n == *noLimit:
		*n = math.Inf(1)
		return n, nil
	case d.Unknown != nil && *n == *d.Unknown:
		return nil, nil
	case *n < 0:
		return nil, fmt.Errorf("%s is %g, but negative values are not documented", field, *n)
	default:
		return n, nil
	}
}

// unit returns the reported unit or, if that is not valid, the one in Units. DCS reports {} and null, DWS the text "null".
func (d *decoding) unit(name, reported string) string {
	usable := reported != "null" && utf8.RuneCountInString(reported) <= maxUnitLength && !strings.ContainsRune(reported, utf8.RuneError)
	if reported != "" && usable {
		return reported
	}
	for _, u := range d.Units {
		if u.Types.MatchString(name) {
			return u.Unit
		}
	}
	return ""
}

// template is a text with names of fields in braces, such as {type}_{mode}, split into pieces.
type template []piece

// piece is a text and the field after it, if any.
type piece struct{ text, field string }

// keyField is the placeholder for the key of a map, and for the type of a pair.
const keyField = "key"

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

func parseTemplate(text string) template {
	var t template
	from := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		t = append(t, piece{text[from:at[0]], text[at[2]:at[3]]})
		from = at[1]
	}
	if from < len(text) {
		t = append(t, piece{text: text[from:]})
	}
	return t
}

func (t template) usesKey() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.field == keyField })
}

// fill returns the text with the fields of a resource: strings and, after the first one, numbers. A missing or null field is omitted
// together with the text before it. If the first field is missing or of another type, the whole text is empty.
func (t template) fill(key string, resource object) string {
	if len(t) == 1 && t[0].text == "" && t[0].field != keyField { // {type}, the usual case
		return resource.at(t[0].field).text()
	}
	var filled strings.Builder
	first := true
	for _, p := range t {
		if p.field == "" {
			filled.WriteString(p.text)
			continue
		}
		text := key
		if p.field != keyField || key == "" {
			field := resource.at(p.field)
			if text = field.text(); field.isNumber() && !first {
				text = string(field)
			}
			if text == "" && (first || !field.isNull() && !field.isString()) {
				return ""
			}
		}
		first = false
		if text != "" {
			filled.WriteString(p.text)
			filled.WriteString(text)
		}
	}
	return filled.String()
}
