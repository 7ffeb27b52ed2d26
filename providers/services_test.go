package providers_test

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud_quota_exporter/providers"
	"cloud_quota_exporter/providers/providerstest"
)

// TestFive states what users of the five rely on: the actions to grant, the fetch intervals, and their own options.
func TestFive(t *testing.T) {
	var lines []string
	for _, s := range providerstest.Five() {
		line := fmt.Sprintf("%s: enabled %t, action %q, cache_ttl %s, options %v, muted %v", s.Name, s.Enabled, s.API.Action, s.CacheTTL, s.Options, s.Muted)
		if s.API.NoLimit != nil {
			line += fmt.Sprint(", no limit is ", *s.API.NoLimit)
		}
		lines = append(lines, line)
	}
	const want = `cts: enabled true, action "cts:quota:get", cache_ttl 0s, options map[], muted [system_tracker]
ces: enabled true, action "ces:quotas:get", cache_ttl 15m0s, options map[], muted []
taurusdb: enabled true, action "gaussdbformysql:quota:list", cache_ttl 0s, options map[], muted [], no limit is -1
dcs: enabled true, action "dcs:quota:get", cache_ttl 0s, options map[], muted []
dbss: enabled true, action "", cache_ttl 0s, options map[list_instances:true], muted []`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCatalogueMistakes: every mistake in a catalogue is an error with its place.
func TestCatalogueMistakes(t *testing.T) {
	_, err := providers.ReadCatalogue([]byte("a: {product: A, title: T, api: {path: /a, lst: x}}\nb: {title: T, enabled: 1}\nC: {}\nd: {product: D, title: T, api: {path: /a, level: region}}\n" +
		"e: {product: E, title: T, cache_ttl: 7h, api: {path: /a}}\n"))
	for _, want := range []string{
		"catalogue.yml:1: a.api.lst: unknown key", "catalogue.yml:2: b.product: missing", "catalogue.yml:2: b.enabled: not a boolean", "catalogue.yml:2: b.api: missing",
		"catalogue.yml:3: a key that is not a valid service name", "catalogue.yml:4: d.api.level: invalid format",
		"catalogue.yml:5: e.cache_ttl: out of range",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, s := range providerstest.Named("cts", "ces", "dcs", "dbss") {
		if got := s.API.Host.Label("ap-southeast-3"); got != s.Name {
			t.Errorf("%s in ap-southeast-3: host %s", s.Name, got)
		}
	}
	taurusdb := providerstest.Named("taurusdb")[0].API.Host
	for region, want := range map[string]string{
		"ap-southeast-1": "gaussdbformysql", "ap-southeast-2": "gaussdbformysql", "cn-north-11": "gaussdbformysql",
		"me-east-1": "gaussdbformysql", "tr-west-1": "gaussdbformysql",
		"af-south-1": "gaussdb-mysql", "cn-east-5": "gaussdb-mysql", "cn-southwest-3": "gaussdb-mysql", "la-north-2": "gaussdb-mysql",
		"eu-de":      "gaussdb-mysql", // Open Telekom Cloud
		"cn-north-4": "gaussdb", "ap-southeast-3": "gaussdb", "ap-southeast-4": "gaussdb", "default": "gaussdb",
	} {
		if got := taurusdb.Label(region); got != want {
			t.Errorf("taurusdb in %s: host %s, want %s", region, got, want)
		}
	}
	gaussdb := providerstest.Named("gaussdb")[0].API.Host
	for region, want := range map[string]string{
		"cn-east-4": "gaussdb", "cn-east-5": "gaussdb", "ap-southeast-5": "gaussdb", "tr-west-1": "gaussdb", "me-east-1": "gaussdb",
		"af-north-1": "gaussdb", "cn-east-2": "gaussdb", "cn-north-12": "gaussdb",
		"cn-north-4": "gaussdb-opengauss", "ap-southeast-3": "gaussdb-opengauss", "eu-west-101": "gaussdb-opengauss", "default": "gaussdb-opengauss",
	} {
		if got := gaussdb.Label(region); got != want {
			t.Errorf("gaussdb in %s: host %s, want %s", region, got, want)
		}
	}
}

// TestHostsOfAccounts: the hosts by site, region, and cloud.
func TestHostsOfAccounts(t *testing.T) {
	const com, eu, partner = "myhuaweicloud.com", "myhuaweicloud.eu", "prod-cloud.example.com"
	labels := map[string]string{"ccm_ca": "ccm", "cc_central_network": "cc", "cc_site_network": "cc", "geip": "eip", "iec": "iecs", "cloudpond": "ies"}
	own := map[string]struct{ china, international, europe string }{ // those that differ from the others; europe: regional
		"iam":    {"iam.cn-north-4." + com, "iam.ap-southeast-1." + com, ""},
		"ccm":    {"ccm.cn-north-4." + com, "ccm.ap-southeast-3." + com, ""},
		"ccm_ca": {"ccm.cn-north-4." + com, "ccm.ap-southeast-3." + com, ""},
		"tms":    {"tms." + com, "tms.ap-southeast-1." + com, ""},
		"cdn":    {"cdn." + com, "cdn." + com, "cdn." + eu},
	}
	for _, s := range providerstest.Named("iam", "dns", "ccm", "ccm_ca", "cc_central_network", "cc_site_network", "ga", "geip", "cdn", "tms", "eps", "ec", "iec", "cloudpond", "ucs") {
		if !s.API.Account || s.Enabled || s.CacheTTL != 15*time.Minute {
			t.Errorf("%s: level %s, enabled %t, cache_ttl %s", s.Name, s.API.Level(), s.Enabled, s.CacheTTL)
		}
		label, sites := cmp.Or(labels[s.Name], s.Name), own[s.Name]
		shared := label + "." + com
		for _, at := range []struct{ region, cloud, want string }{
			{"ap-southeast-1", "", cmp.Or(sites.international, shared)},
			{"cn-north-4", "", cmp.Or(sites.china, shared)},
			{"cn-north-4", com, cmp.Or(sites.china, shared)},
			{"eu-west-101", "", cmp.Or(sites.europe, label+".eu-west-101."+eu)},
			{"ru-moscow-1", "", label + ".ru-moscow-1." + com},
			{"my-kualalumpur-1", com, label + ".my-kualalumpur-1." + com},
			{"ae-ad-1", "", label + ".ae-ad-1." + com},
			{"eu-west-0", partner, label + ".eu-west-0." + partner},
			{"cn-north-4", partner, label + ".cn-north-4." + partner},
		} {
			if got := s.API.Host.BaseURL(at.region, at.cloud); got != "https://"+at.want {
				t.Errorf("%s in %s of %q: %s, want https://%s", s.Name, at.region, at.cloud, got, at.want)
			}
		}
	}
	if muted := providerstest.Named("cdn")[0].Muted; !slices.Equal(muted, []string{"file_refresh", "dir_refresh", "preheat"}) { // they reach their limits every day
		t.Errorf("muted types of CDN: %v", muted)
	}
}

// TestBaseURL: whole hosts of the catalogue only apply to Huawei's own sites; those of the user's own APIs apply everywhere.
func TestBaseURL(t *testing.T) {
	const host = `{path: /a, host: {default: "dns.{cloud}", eu-west-101: dns, me-east-1: "dns.{region}.{cloud}", ap-southeast-1: dns.myhwclouds.com}}`
	services, err := providers.ReadCatalogue([]byte("dns: {product: D, title: T, api: " + host + "}\nvpc: {product: V, title: T, api: {path: /a}}"))
	if err != nil {
		t.Fatal(err)
	}
	own := api(t, host)
	for _, tc := range []struct{ region, cloud, builtIn, own, label string }{
		{"ap-southeast-3", "", "dns.myhuaweicloud.com", "dns.myhuaweicloud.com", "vpc.ap-southeast-3.myhuaweicloud.com"},
		{"ap-southeast-3", "myhuaweicloud.com", "dns.myhuaweicloud.com", "dns.myhuaweicloud.com", "vpc.ap-southeast-3.myhuaweicloud.com"},
		{"ap-southeast-1", "", "dns.myhwclouds.com", "dns.myhwclouds.com", "vpc.ap-southeast-1.myhuaweicloud.com"},
		{"me-east-1", "", "dns.me-east-1.myhuaweicloud.com", "dns.me-east-1.myhuaweicloud.com", "vpc.me-east-1.myhuaweicloud.com"},
		{"eu-west-101", "", "dns.eu-west-101.myhuaweicloud.eu", "dns.eu-west-101.myhuaweicloud.eu", "vpc.eu-west-101.myhuaweicloud.eu"},
		{"eu-west-102", "", "dns.myhuaweicloud.eu", "dns.myhuaweicloud.eu", "vpc.eu-west-102.myhuaweicloud.eu"},
		{"eu-de", "otc.t-systems.com", "dns.eu-de.otc.t-systems.com", "dns.otc.t-systems.com", "vpc.eu-de.otc.t-systems.com"},
		{"ru-moscow-1", "", "dns.ru-moscow-1.myhuaweicloud.com", "dns.myhuaweicloud.com", "vpc.ru-moscow-1.myhuaweicloud.com"},
	} {
		for _, h := range []struct {
			providers.Host

			want string
		}{{services[0].API.Host, tc.builtIn}, {own.Host, tc.own}, {services[1].API.Host, tc.label}} {
			if got := h.BaseURL(tc.region, tc.cloud); got != "https://"+h.want {
				t.Errorf("%s of %q: got %s, want https://%s", tc.region, tc.cloud, got, h.want)
			}
		}
		ported := api(t, `{path: /a, host: {default: "db.example.com:8443", eu-de: "my-db:444"}}`).Host
		want := map[bool]string{true: "https://my-db.eu-de.otc.t-systems.com:444", false: "https://db.example.com:8443"}[tc.region == "eu-de"]
		if got := ported.BaseURL(tc.region, tc.cloud); got != want || strings.Contains(ported.Label(tc.region), ":") {
			t.Errorf("%s of %q: got %s with the label %s, want %s", tc.region, tc.cloud, got, ported.Label(tc.region), want)
		}
		if got := services[0].API.Host.Label(tc.region); got != "dns" {
			t.Errorf("%s: label %s", tc.region, got)
		}
	}
}

// TestEntriesAreDocumented compares the table of CONTRIBUTING.md with the keys that the errors of unknown keys list.
func TestEntriesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for title, text := range map[string]string{
		"### Keys of an entry\n": "a: {zz: 1}",
	} {
		_, section, _ := strings.Cut(string(doc), title)
		section, _, _ = strings.Cut(section, "\n#")
		var documented []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			documented = append(documented, row[1])
		}
		_, err := providers.ReadCatalogue([]byte(text))
		m := regexp.MustCompile(`\.zz: unknown key; known here: (.*)`).FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("%s: %v", text, err)
		}
		if known := strings.Split(m[1], ", "); !slices.Equal(documented, known) {
			t.Errorf("%s documents %s, want %s", strings.TrimSpace(title), documented, known)
		}
	}
}
