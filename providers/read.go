package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"cloud_quota_exporter/internal/config/strictyaml"
)

const defaultType = "{type}"

// ReadAPI reads the description of an API and fills in the defaults. It reports errors to n without quoting values of the file. host
// is the default host; empty if the description must set one.
func ReadAPI(n strictyaml.Node, host string) *API {
	a := &API{
		List: []string{"quotas.resources"}, Type: defaultType, Fields: Fields{Used: "used", Limit: "quota"}, Unit: "unit", Min: "min", Max: "max",
	}
	f, ok := n.Fields(
		"path", "level", "host", "list", "type", "used", "limit", "remaining", "unit", "min", "max", "pairs", "units", "rename", "no_limit",
		"unknown", "skip", "action",
	)
	if !ok {
		return a
	}
	a.Account = readLevel(f.Get("level"))
	a.Path = readPath(f.Need("path", "set the path of the API, such as /v1/{project_id}/quotas"), a.Account)
	a.Host = readHost(f.Get("host"), host)
	a.Action = readAction(f.Get("action"))
	a.readList(f.Get("list"))
	a.readNumbers(f)
	a.readType(f.Get("type"))
	a.NoLimit, a.Unknown = readNumber(f.Get("no_limit")), readNumber(f.Get("unknown"))
	a.Skip = readSkip(f.Get("skip"))
	a.Rename = readRename(f.Get("rename"))
	a.Units = readUnits(f.Get("units"))
	text, _ := json.Marshal(a) // has nothing that cannot be encoded
	a.text = string(text)
	return a
}

// readLevel reports whether the quotas belong to the account.
func readLevel(n strictyaml.Node) bool {
	level, _ := n.Matching(regexp.MustCompile(`^(project|account)$`), "project or account")
	return level == "account"
}

// urlForm matches a path and a query as they are sent and signed, with all other characters percent-encoded.
var urlForm = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})*$`)

// PathProblem returns what is wrong with the path and the query of a URL without placeholders, and what is expected; empty if
// nothing is wrong.
func PathProblem(path string) string {
	if !urlForm.MatchString(path) {
		return "has a character that is not allowed in URLs; percent-encode it: a blank as %20, # as %23, % as %25"
	}
	path, query, _ := strings.Cut(path, "?")
	if _, err := url.ParseQuery(query); err != nil {
		return "has a semicolon in the query; use & between parameters, or %3B"
	}
	plain, _ := url.PathUnescape(path) // already checked by urlForm
	segments := strings.Split(plain, "/")
	if slices.Contains(segments, ".") || slices.Contains(segments, "..") || strings.Contains(path, "//") {
		return "has //, . or .. in the path, which servers may resolve before they check the signature; remove them"
	}
	return ""
}

func readPath(n strictyaml.Node, account bool) string {
	path, ok := n.Text()
	if !ok {
		return ""
	}
	bare := strings.NewReplacer("{project_id}", "x", "{domain_id}", "x").Replace(path)
	problem := PathProblem(bare)
	switch {
	case strings.HasPrefix(path, "//") || !strings.HasPrefix(path, "/"):
		n.Fail("does not start with one slash; expected a path such as /v1/{project_id}/quotas, with the host in host")
	case strings.ContainsAny(bare, "{}"):
		n.Fail("a path with an unknown placeholder; only {project_id} and {domain_id} are replaced")
	case problem != "":
		n.Fail("%s", problem)
	case !account && strings.Contains(path, "{domain_id}"):
		n.Fail("a path with {domain_id}; set level: account")
	case account && strings.Contains(path, "{project_id}"):
		n.Fail("a path with {project_id}; set level: project")
	}
	return path
}

const maxHostLength = 253 // limit of DNS

const hostWant = "the first label of the host, such as gaussdb-mysql, or a whole host such as dns.{cloud} or db.example.com:8443"

var hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|\{cloud\}))*(:[0-9]+)?$`)

func readHost(n strictyaml.Node, usual string) Host {
	h := Host{regions: map[string]string{anyRegion: usual}}
	switch {
	case !n.Stated() && usual == "":
		n.Fail("missing; expected %s", hostWant)
	case !n.Stated():
	case !n.IsMapping():
		h.regions[anyRegion] = readHostName(n)
	default:
		h.regions = ByRegion(n, readHostName)
		if _, ok := h.regions[anyRegion]; !ok {
			n.Fail("has no default; set the host of the other regions, for example default: gaussdb")
		}
	}
	return h
}

// readHostName reads the host of one region.
func readHostName(n strictyaml.Node) string {
	host, ok := n.Text()
	_, port, _ := strings.Cut(host, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	plain := strings.ReplaceAll(strings.ToLower(host), inRegion, "r")
	switch {
	case !ok || n.Unquoted():
	case strings.Contains(host, "://"):
		n.Fail("a URL; expected only the host (requests use https unless endpoints has another URL)")
	case strings.Contains(host, "@"):
		n.Fail("a host with a user; expected only the host (requests carry the credentials of the account)")
	case strings.ContainsAny(host, "/?#"):
		n.Fail("a host with a path; expected only the host, with the path in path")
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }):
		n.Fail("not ASCII; expected the host in Punycode, which starts with xn--")
	case !hostForm.MatchString(plain) || len(plain) > maxHostLength:
		n.Fail("invalid format; expected %s", hostWant)
	case strings.Contains(host, inRegion) && !strings.Contains(host, "."):
		n.Fail("a label with {region}, which is only replaced in whole hosts; expected a host such as my-api-{region}.example.com")
	case host != strings.ToLower(host):
		n.Fail("has upper-case letters; expected the host in lower case")
	case port != "" && (err != nil || number == 0):
		n.Fail("has a port out of range; expected 1 to 65535")
	}
	return host
}

// ByRegion reads a mapping of regions, or default, to what read returns for each value.
func ByRegion(n strictyaml.Node, read func(strictyaml.Node) string) map[string]string {
	entries, _ := n.Entries(IsRegion)
	values := map[string]string{}
	for _, e := range entries {
		if IsRegion(e.Key) {
			values[e.Key] = read(e.Node)
		} else {
			e.Fail("a key that is not a region (not shown because it may be a secret); expected the name of a region such as ap-southeast-3, or default")
			values[e.Key] = ""
		}
	}
	return values
}

const actionWant = "an IAM action such as vpc:quotas:list"

var actionForm = regexp.MustCompile(`^(` + NoAction + `|[A-Za-z0-9_-]+:[A-Za-z0-9_-]*:[A-Za-z0-9_-]+)$`)

func readAction(n strictyaml.Node) Action {
	if !n.IsMapping() {
		name, _ := n.Matching(actionForm, actionWant)
		return Action{name, name}
	}
	f, _ := n.Fields("identity", "role")
	var a Action
	if n.HasNoEntries() {
		n.Fail("has no action; expected {identity: ...}, {role: ...}, or both")
	}
	a.Identity, _ = f.Get("identity").Matching(actionForm, actionWant)
	a.Role, _ = f.Get("role").Matching(actionForm, actionWant)
	return a
}

// fieldForm matches a path to a field. It excludes the characters of JSONPath and similar languages, which would never match.
var fieldForm = regexp.MustCompile(`^[^][.*${}\s\pC]+(\.[^][.*${}\s\pC]+)*$`)

// take sets field to the path at n, if any; the path may be empty.
func take(field *string, n strictyaml.Node) {
	if n.Unquoted() {
		return
	}
	text, ok := n.OptionalText()
	if ok && text != "" && !fieldForm.MatchString(text) {
		n.Fail("invalid format; expected the name of a field, with dots if it is nested, such as quota or quota.number")
	}
	if ok {
		*field = text
	}
}

func (a *API) readList(n strictyaml.Node) {
	if !n.IsList() {
		take(&a.List[0], n)
		return
	}
	items := n.List()
	if len(items) == 0 {
		n.Fail("is empty; expected a path such as quotas.resources, or \"\" for the top level")
	}
	a.List = make([]string, len(items))
	for i, item := range items {
		take(&a.List[i], item)
	}
}

// readNumbers reads the names of fields: of one resource or, in pairs, of several.
func (a *API) readNumbers(f strictyaml.Fields) {
	pairs := f.Get("pairs")
	fields := []struct {
		key  string
		into *string
	}{{"used", &a.Used}, {"limit", &a.Limit}, {"remaining", &a.Remaining}, {"unit", &a.Unit}, {"min", &a.Min}, {"max", &a.Max}}
	var keys, names []string
	for _, field := range fields {
		n := f.Get(field.key)
		take(field.into, n)
		keys, names = append(keys, field.key), append(names, *field.into)
		if n.Stated() && pairs.Stated() {
			n.Fail("has no effect with pairs; set it in the pairs, or remove it")
		}
	}
	checkDistinct(f, keys, names)
	if pairs.Stated() {
		a.Fields, a.Unit, a.Min, a.Max = Fields{}, "", "", ""
		a.readPairs(pairs)
	} else if len(a.names()) == 0 {
		f.Fail("used, limit, and remaining are all empty; set at least one field")
	}
}

// checkDistinct reports keys with the same field. At least one of the two is configured, because the defaults differ.
func checkDistinct(f strictyaml.Fields, keys, names []string) {
	for i, name := range names {
		first := slices.Index(names, name)
		if name == "" || first == i {
			continue
		}
		at, other := f.Get(keys[i]), keys[first]
		if !at.Stated() {
			at, other = f.Get(keys[first]), keys[i]
		}
		at.Fail("has the same field as %s; set another field", other)
	}
}

func (a *API) readPairs(n strictyaml.Node) {
	types := map[string]strictyaml.Node{}
	items := n.List()
	if n.IsEmpty() {
		n.Fail("is empty; expected pairs such as {type: instances, used: instancesUsed, limit: maxInstances}")
	}
	for _, item := range items {
		f, ok := item.Fields("type", "used", "limit", "remaining", "unit")
		if !ok {
			continue
		}
		var p Pair
		take(&p.Used, f.Get("used"))
		take(&p.Limit, f.Get("limit"))
		take(&p.Remaining, f.Get("remaining"))
		p.Unit, _ = f.Get("unit").Matching(unitForm, unitWant)
		t := f.Need("type", "set the resource type of the pair")
		if p.Type, ok = readTypeName(t); ok {
			if first, taken := types[p.Type]; taken {
				t.Fail("the same type as %s in line %d; set a unique type for each pair", first.Path(), first.Line())
			}
			types[p.Type] = t
		}
		if len(p.names()) == 0 {
			item.Fail("has none of used, limit, and remaining; set at least one of them")
		}
		checkDistinct(f, []string{"used", "limit", "remaining"}, []string{p.Used, p.Limit, p.Remaining})
		a.Pairs = append(a.Pairs, p)
	}
}

// typeForm matches a type with names of fields in braces.
var typeForm = regexp.MustCompile(`^([^\pC{}]{0,128}\{[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\})+[^\pC{}]{0,128}$`)

// readType reads the type. It comes after the pairs, which determine the valid types.
func (a *API) readType(n strictyaml.Node) {
	if n.Stated() {
		a.Type, _ = n.Text()
	}
	a.name = parseTemplate(a.Type)
	isConstant, ok := !strings.ContainsAny(a.Type, "{}"), !n.Unquoted()
	if ok && isConstant && a.Type != "" {
		_, ok = readTypeName(n)
	}
	switch {
	case !n.Stated() || a.Type == "" || !ok:
	case !isConstant && !typeForm.MatchString(a.Type):
		n.Fail("invalid format; expected names of fields in braces, such as {type} or {type}_{mode}, or a constant")
	case len(a.Pairs) > 0 && !a.name.usesKey():
		n.Fail("has no effect with pairs, because it does not contain {key}, the type of the pair; add {key}, or remove type")
	}
}

var typeNameForm = regexp.MustCompile(`^[^\pC{}]{0,127}[^\pC{}, ]$`)

func readTypeName(n strictyaml.Node) (string, bool) {
	if n.Unquoted() {
		return "", false
	}
	return n.Matching(typeNameForm, "a resource type of 1 to 128 characters, without braces and without a trailing comma")
}

func readNumber(n strictyaml.Node) *float64 {
	if number, ok := n.Decimal(-1e15, 1e15, "a number such as -1"); ok {
		return &number
	}
	return nil
}

// entriesOf returns the entries of a mapping with arbitrary keys. A key may be a secret, so it is not shown.
func entriesOf(n strictyaml.Node) []strictyaml.Entry {
	entries, _ := n.Entries(func(string) bool { return false })
	if n.HasNoEntries() {
		n.Fail("is empty; set a value or remove the key")
	}
	return entries
}

func readRename(n strictyaml.Node) map[string]string {
	rename := map[string]string{}
	for _, e := range entriesOf(n) {
		if trimType(e.Key) == "" {
			e.Fail("renames a type without a name; expected the name of a type")
		}
		rename[trimType(e.Key)], _ = readTypeName(e.Node)
	}
	return rename
}

const unitWant = "a unit of 1 to 32 characters, such as GiB"

var unitForm = regexp.MustCompile(fmt.Sprintf(`^[^\pC]{1,%d}$`, maxUnitLength))

func readUnits(n strictyaml.Node) []UnitOf {
	var units []UnitOf
	for _, e := range entriesOf(n) {
		unit, _ := e.Matching(unitForm, unitWant)
		if types := compile(e.Node, e.Key); types != nil {
			units = append(units, UnitOf{types, unit})
		}
	}
	return units
}

func readSkip(n strictyaml.Node) *regexp.Regexp {
	text, ok := n.Text()
	if !ok || n.Unquoted() {
		return nil
	}
	skip := compile(n, text)
	if skip != nil && skip.MatchString("any_type") && skip.MatchString("7.-") {
		n.Fail("matches every type, so that no quota is left; expected a pattern of the types to skip")
	}
	return skip
}

// compile compiles a pattern of whole types.
func compile(n strictyaml.Node, pattern string) *regexp.Regexp {
	re, err := strictyaml.Pattern(pattern)
	if err == nil && pattern == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		n.Fail("not a regular expression (%v); expected one that matches the whole type, such as .*_per_.*", err)
	}
	return re
}
