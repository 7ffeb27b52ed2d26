package config

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud_quota_exporter/internal/config/strictyaml"
	"cloud_quota_exporter/internal/secret"
	"cloud_quota_exporter/providers"
)

// KeyVariables are the names of variables with an access key, a secret key, and a security token: those of Huawei Cloud's SDKs, of
// its Terraform provider, and of OpenStack's tools, in order of precedence.
var KeyVariables = [...][3]string{
	{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"},
	{"HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"},
	{"OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_SECURITY_TOKEN"},
}

// The other variables of the same tools, by purpose. All that are set must agree.
var (
	regionNames      = []string{"HW_REGION_NAME", "HUAWEICLOUD_SDK_REGION", "OS_REGION_NAME"}
	projectIDNames   = []string{"HUAWEICLOUD_SDK_PROJECT_ID", "HW_PROJECT_ID", "OS_PROJECT_ID", "OS_TENANT_ID"}
	projectNameNames = []string{"HW_PROJECT_NAME", "OS_PROJECT_NAME", "OS_TENANT_NAME"}
	domainIDNames    = []string{"HUAWEICLOUD_SDK_DOMAIN_ID", "HW_DOMAIN_ID", "OS_DOMAIN_ID"}
	domainNameNames  = []string{"HW_DOMAIN_NAME", "OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"}
	userNames        = []string{"HW_USER_NAME", "OS_USERNAME"}
	passwordNames    = []string{"HW_USER_PASSWORD", "OS_PASSWORD"}
	cloudNames       = []string{"HW_CLOUD"}
	iamNames         = []string{"HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL", "OS_AUTH_URL"}
	stsNames         = []string{"HUAWEICLOUD_SDK_STS_ENDPOINT"}
	idpNames         = []string{"HUAWEICLOUD_SDK_IDP_ID"}
	tokenFileNames   = []string{"HUAWEICLOUD_SDK_ID_TOKEN_FILE"}
	agencyNames      = []string{"HW_ASSUME_ROLE_AGENCY_NAME", "OS_AGENCY_NAME"}
	agencyOfNames    = []string{"HW_ASSUME_ROLE_DOMAIN_NAME", "OS_AGENCY_DOMAIN_NAME"}
	agencyOfIDNames  = []string{"HW_ASSUME_ROLE_DOMAIN_ID"}
	durationNames    = []string{"HW_ASSUME_ROLE_DURATION"}
)

// endpointPrefix is the prefix of the SDKs' variables for the endpoint of a service in a region.
const endpointPrefix = "HUAWEICLOUD_SDK_REGION_"

// refusedVariables have effects in those tools that are not supported here, with the replacement.
var refusedVariables = map[string]string{
	"HUAWEICLOUD_SDK_REGIONS_FILE": "set " + endpointPrefix + "<SERVICE>_<REGION>, or set endpoints in a configuration file",
	"HW_ASSUME_ROLE_IDP_ID":        useOIDC,
	"HW_ASSUME_ROLE_ID_TOKEN":      useOIDC,
	"HW_ASSUME_ROLE_ID_TOKEN_FILE": useOIDC,
	"HW_AUTH_TOKEN":                useKeys,
	"OS_AUTH_TOKEN":                useKeys,
	"OS_DELEGATED_PROJECT":         "set HW_PROJECT_NAME or HW_PROJECT_ID",
	"HW_SHARED_CONFIG_FILE":        useKeys,
	"HW_PROFILE":                   useKeys,
	"HW_USER_ID":                   useUserName,
	"OS_USER_ID":                   useUserName,
}

const (
	useOIDC     = "set HUAWEICLOUD_SDK_IDP_ID and HUAWEICLOUD_SDK_ID_TOKEN_FILE, or set oidc in a configuration file"
	useKeys     = "set keys such as HW_ACCESS_KEY and HW_SECRET_KEY, or use a configuration file with credentials"
	useUserName = "set HW_USER_NAME, HW_USER_PASSWORD and HW_DOMAIN_NAME"
)

// onlyWithoutKeys are those of refusedVariables that the tools ignore if keys are set.
var onlyWithoutKeys = []string{"HW_SHARED_CONFIG_FILE", "HW_PROFILE", "HW_USER_ID", "OS_USER_ID"}

// unusedVariables are variables of the same tools without effect, with the reason.
var unusedVariables = map[string]string{
	"HW_ENTERPRISE_PROJECT_ID": "the quotas of the whole project are fetched",
	"HW_INSECURE":              alwaysVerified,
	"OS_INSECURE":              alwaysVerified,
	"OS_CACERT":                "set ca_file in a configuration file instead",
}

const alwaysVerified = "certificates are always verified"

// Decision is the effect of a variable, or of a key of a profile.
type Decision struct{ Name, What string }

// environment reads the account that is used if no file has accounts.
type environment struct {
	getenv    func(string) string
	found     *strictyaml.Problems
	keys      []string          // names of the variables of the first keys that are set
	profile   map[string]string // values of the profile, if the keys may come from it
	says      map[string]string // those that no variable overrides; nil if the keys cannot come from it
	decisions []Decision
}

// environmentAccount returns the account that is used if no file has accounts: variables and the profile of Huawei Cloud's tools
// define its keys, region, project, and endpoints. accountLevel is that of readAccounts.
func environmentAccount(ctx context.Context, getenv func(string) string, known []providers.Service, accountLevel bool, found *strictyaml.Problems) (Account, []Decision) {
	e := &environment{getenv: func(name string) string { return secret.Trim(getenv(name)) }, found: found}
	e.keys = e.setKeys()
	if len(e.keys) == 0 && !e.isSet(slices.Concat(idpNames, tokenFileNames, userNames, passwordNames)) {
		e.says = map[string]string{}
		if name, file := e.value("file of the profile", "", nil, profileVariable); name == "" || file != "" {
			e.profile = e.readProfile(ctx)
		}
	}
	a := Account{Name: "default", MaxInFlightPerHost: DefaultInFlightPerHost}
	region := e.region()
	a.Projects = []Project{e.project(region)}
	if accountLevel && a.Projects[0].Name == a.Name {
		e.found.Add(0, e.nameOf(slices.Concat(projectNameNames, regionNames)), "the same as the name of the account, which is the label of its account-level quotas, "+
			"default; unset it and set HW_PROJECT_ID, or set --config.file to a file with accounts")
	}
	a.DomainID = e.matching("domain_id of the account", "domain_id", domainID.MatchString, domainIDWant, domainIDNames...)
	a.Cloud = e.matching("cloud", "", cloudDomain.MatchString, cloudWant, cloudNames...)
	a.Endpoints = e.endpoints(region, known)
	a.Credentials = e.credentials()
	if a.Credentials.OIDC == nil {
		maps.DeleteFunc(e.says, func(key, _ string) bool { return key == "idp_id" || key == "id_token_file" }) // the credentials reject them
		a.ProfileSays = e.says
	}
	hasKeys := len(e.keys) > 0 || a.Credentials.OIDC != nil
	for _, name := range slices.Sorted(maps.Keys(refusedVariables)) {
		switch {
		case e.getenv(name) == "":
		case hasKeys && slices.Contains(onlyWithoutKeys, name):
			e.decide(name, "nothing: keys or an ID token take precedence")
		default:
			e.found.Add(0, name, "not supported; unset it, and "+refusedVariables[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unusedVariables)) {
		e.passOver([]string{name}, unusedVariables[name])
	}
	return a, e.decisions
}

// readProfile returns the values of the profile. An explicitly named profile must be readable, because its settings would be ignored
// otherwise.
func (e *environment) readProfile(ctx context.Context) map[string]string {
	values, err := Profile{}.Read(ctx, e.getenv)
	if err != nil && e.getenv(profileVariable) != "" {
		e.found.Add(0, profileVariable, "failed to read the profile: "+err.Error()+"; expected a readable INI file with a section [basic]")
	}
	return values
}

// setKeys returns the names of the first keys of which one is set.
func (e *environment) setKeys() []string {
	for _, names := range KeyVariables {
		if e.isSet(names[:2]) {
			return slices.DeleteFunc(names[:], func(name string) bool { return e.getenv(name) == "" })
		}
	}
	return nil
}

func (e *environment) isSet(names []string) bool { return e.nameOf(names) != "" }

// nameOf returns the first variable that is set; empty if none is.
func (e *environment) nameOf(names []string) string {
	if i := slices.IndexFunc(names, func(name string) bool { return e.getenv(name) != "" }); i >= 0 {
		return names[i]
	}
	return ""
}

// decide records the effect of a variable.
func (e *environment) decide(name, what string) {
	e.decisions = append(e.decisions, Decision{name, what})
}

// value returns the name and the value of the first variable that is set, otherwise those of a key of the profile. plain normalizes
// equivalent values; nil: unchanged.
func (e *environment) value(what, inProfile string, plain func(string) string, names ...string) (name, value string) {
	for _, n := range names {
		v := e.getenv(n)
		if problem, remedy := secret.Spoilt(v); problem != "" {
			e.found.Add(0, n, problem+"; "+remedy)
			return n, ""
		}
		if plain != nil {
			v = cmp.Or(plain(v), v) // a value without a normal form is not ignored
		}
		switch {
		case v == "":
		case name == "":
			name, value = n, v
			e.decide(n, what)
		case v != value:
			e.found.Add(0, name, "sets a different "+what+" than "+n+"; unset one of them")
		default:
			e.decide(n, what)
		}
	}
	if name != "" || inProfile == "" || e.says == nil {
		return name, value
	}
	e.says[inProfile] = e.profile[inProfile]
	if v := e.profile[inProfile]; v != "" {
		if plain != nil {
			v = cmp.Or(plain(v), v)
		}
		name, value = inProfile+" of the profile", v
		e.decide(name, what)
	}
	return name, value
}

// matching is value for a text with a format.
func (e *environment) matching(what, inProfile string, fits func(string) bool, want string, names ...string) string {
	name, value := e.value(what, inProfile, nil, names...)
	if value != "" && !fits(value) {
		e.found.Add(0, name, "invalid format; expected "+want)
	}
	return value
}

// text is value for a name in IAM.
func (e *environment) text(what string, names ...string) string {
	return e.matching(what, "", IsLabel, labelWant, names...)
}

func (e *environment) region() string {
	if !e.isSet(regionNames) {
		e.found.Add(0, regionNames[0], "missing, and no accounts are configured; set HW_REGION_NAME, HUAWEICLOUD_SDK_REGION, or "+
			"OS_REGION_NAME, or set --config.file to a file with accounts")
	}
	return e.matching("region", "", providers.IsRegion, regionWant, regionNames...)
}

// project returns the project by its ID, otherwise by its name in IAM, otherwise the region's default project. Variables take
// precedence over the profile.
func (e *environment) project(region string) Project {
	inProfile := "project_id"
	if e.isSet(projectNameNames) {
		inProfile = ""
	}
	id := e.matching("project ID", inProfile, IsProjectID, projectIDWant, projectIDNames...)
	what := "project name"
	if id != "" {
		what = "label of the project only, because its ID is set"
	}
	name := e.text(what, projectNameNames...)
	p := Project{ID: id, Region: region, Name: cmp.Or(name, region)}
	if id == "" && name != region {
		p.IAMName = name
	}
	return p
}

// endpoints returns the endpoints of IAM and STS, and those of services in the region.
func (e *environment) endpoints(region string, known []providers.Service) Endpoints {
	endpoints := Endpoints{}
	suffix := "_" + strings.ToUpper(strings.ReplaceAll(region, "-", "_"))
	add := func(service, id, inProfile string, plain func(string) string, names ...string) {
		name, url := e.value("endpoint of "+service, inProfile, plain, names...)
		if url == "" {
			return
		}
		if problem := urlProblem(url, service, id); problem != "" {
			e.found.Add(0, name, problem)
		}
		endpoints[service] = Endpoint{anyName: url}
	}
	add(iam, "", "iam_endpoint", iamURL, append(slices.Clone(iamNames), endpointPrefix+"IAM"+suffix)...)
	add(sts, "", "", firstURL, append(slices.Clone(stsNames), endpointPrefix+"STS"+suffix)...)
	for _, s := range known {
		if s.Name == iam || s.Name == sts { // their endpoints are above
			continue
		}
		add(s.Name, idOf(s), "", firstURL, endpointPrefix+strings.ToUpper(cmp.Or(s.SDK, s.Name))+suffix)
	}
	if len(endpoints) == 0 {
		return nil
	}
	return endpoints
}

// firstURL returns the first of a list of URLs; Huawei Cloud's SDKs use the others if it fails. The default scheme is https.
func firstURL(text string) string {
	first, _, _ := strings.Cut(text, ",")
	first = strings.TrimRight(strings.TrimSpace(first), "/")
	if first == "" || strings.Contains(first, "://") {
		return first
	}
	return "https://" + first
}

// iamURL is firstURL without the API version that Terraform's provider requires.
func iamURL(text string) string {
	return strings.TrimRight(strings.TrimSuffix(firstURL(text), "/v3"), "/")
}

// credentials returns the kind that variables or the profile define, none for the default chain, and the agency. As in Huawei
// Cloud's SDKs, an identity provider takes precedence over keys, and keys over a password.
func (e *environment) credentials() Credentials {
	c := Credentials{AssumeAgency: e.agency()}
	if e.profile["idp_id"] == "" || e.profile["id_token_file"] == "" {
		delete(e.profile, "idp_id")
		delete(e.profile, "id_token_file")
	}
	idp := e.matching("identity provider", "idp_id", headerWord.MatchString, idpWant, idpNames...)
	_, file := e.value("file with the ID token", "id_token_file", nil, tokenFileNames...)
	switch {
	case idp != "" && file != "":
		c.OIDC = &OIDC{IDPID: idp, TokenFile: file}
		e.passOver(slices.Concat(userNames, passwordNames, domainNameNames, e.keys), "the identity provider takes precedence")
	case e.isSet(slices.Concat(idpNames, tokenFileNames)):
		e.needAll(idpNames, tokenFileNames)
	case len(e.keys) > 0:
		e.keyDecisions("keys of the account")
		e.passOver(slices.Concat(userNames, passwordNames, domainNameNames), e.keys[0]+" counts")
	case e.isSet(slices.Concat(userNames, passwordNames)):
		c.Password = e.password()
	default:
		e.passOver(domainNameNames, "no user is set")
	}
	return c
}

// keyDecisions records which keys are used.
func (e *environment) keyDecisions(what string) {
	e.noteSet(e.keys, what)
	for _, names := range KeyVariables {
		e.passOver(slices.DeleteFunc(names[:], func(name string) bool { return slices.Contains(e.keys, name) }), e.keys[0]+" counts")
	}
}

// passOver records the variables that are set but have no effect.
func (e *environment) passOver(names []string, why string) { e.noteSet(names, "nothing: "+why) }

// noteSet records the effect of the variables that are set.
func (e *environment) noteSet(names []string, what string) {
	for _, name := range names {
		if e.getenv(name) != "" {
			e.decide(name, what)
		}
	}
}

// needAll reports the missing ones of variables that must be set together, if one is set.
func (e *environment) needAll(settings ...[]string) (complete bool) {
	missing := slices.IndexFunc(settings, func(names []string) bool { return !e.isSet(names) })
	if missing < 0 {
		return true
	}
	all := slices.Concat(settings...)
	set := slices.IndexFunc(all, func(name string) bool { return e.getenv(name) != "" })
	e.found.Add(0, all[set], "is set, but "+settings[missing][0]+" is not; set both or neither")
	return false
}

func (e *environment) password() *Password {
	if !e.needAll(passwordNames, userNames, domainNameNames) {
		return nil
	}
	name, text := e.value("password", "", nil, passwordNames...)
	return &Password{
		DomainName: e.text("name of the account", domainNameNames...),
		UserName:   e.text("name of the user", userNames...),
		Password:   Secret{Text: secret.New(text), Variable: name},
	}
}

// agency returns the agency; nil if none is set.
func (e *environment) agency() *AssumeAgency {
	all := slices.Concat(agencyNames, agencyOfNames, agencyOfIDNames, durationNames)
	if !e.isSet(all) {
		return nil
	}
	a := &AssumeAgency{
		AgencyName: e.text("agency", agencyNames...),
		DomainName: e.text("account of the agency", agencyOfNames...),
		DomainID:   e.matching("domain ID of the agency's account", "", domainID.MatchString, domainIDWant, agencyOfIDNames...),
		Duration:   defaultAgencyDuration,
	}
	switch hasName, hasID := e.isSet(agencyOfNames), e.isSet(agencyOfIDNames); {
	case !e.isSet(agencyNames):
		e.needAll(all, agencyNames)
	case hasName && hasID:
		e.found.Add(0, agencyOfIDNames[0], "conflicts with "+agencyOfNames[0]+"; unset one of them")
	case !hasName && !hasID:
		e.found.Add(0, agencyNames[0], "is set, but neither "+agencyOfNames[0]+" nor "+agencyOfIDNames[0]+" is; set one of them")
	}
	if name, text := e.value("duration of the agency's keys", "", nil, durationNames...); text != "" {
		least, most := int(leastAgencyDuration.Seconds()), int(mostAgencyDuration.Seconds())
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < least || seconds > most {
			e.found.Add(0, name, fmt.Sprintf("not a number of seconds, or out of range; expected %d to %d", least, most))
		}
		a.Duration = time.Duration(seconds) * time.Second
	}
	return a
}
