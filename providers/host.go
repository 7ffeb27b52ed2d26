package providers

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"cloud_quota_exporter/internal/huaweicloud"
)

// Host is the host of an API by region, the one for all other regions under "default". It is the first label of
// https://<label>.<region>.<cloud> or, with a dot in it, a whole host, in which {region} and {cloud} are replaced.
type Host struct {
	regions map[string]string
	builtIn bool // it is from the catalogue, which knows the sites of Huawei Cloud alone
}

const anyRegion = "default"

var regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// IsRegion returns whether text has the form of a region's name. The names are not checked: new regions and partner clouds come.
func IsRegion(text string) bool { return len(text) <= 40 && regionForm.MatchString(text) }

func (h Host) in(region string) string {
	if host, ok := h.regions[region]; ok {
		return host
	}
	return h.regions[anyRegion]
}

// Label returns the first label of the host in a region.
func (h Host) Label(region string) string {
	label, _, _ := strings.Cut(h.in(region), ".")
	return label
}

// Labels returns all first labels, in alphabetical order.
func (h Host) Labels() []string {
	labels := map[string]bool{}
	for region := range h.regions {
		labels[h.Label(region)] = true
	}
	return slices.Sorted(maps.Keys(labels))
}

// BaseURL returns the URL of the host in a region of a cloud. An empty cloud is the public one that the region belongs to. Whole hosts of the
// catalogue are those of Huawei's own sites; elsewhere the first label is used regionally.
func (h Host) BaseURL(region, cloud string) string {
	cloud = huaweicloud.Domain(region, cloud)
	host := h.in(region)
	if !strings.Contains(host, ".") || h.builtIn && !isHuaweiSite(region, cloud) {
		return huaweicloud.BaseURL(h.Label(region), region, cloud)
	}
	return "https://" + strings.NewReplacer("{region}", region, "{cloud}", cloud).Replace(host)
}

// isHuaweiSite returns whether a region belongs to a site that Huawei runs itself. Three partners have regions under its domain.
func isHuaweiSite(region, cloud string) bool {
	switch region {
	case "ru-moscow-1", "my-kualalumpur-1", "ae-ad-1":
		return false
	}
	return cloud == "myhuaweicloud.com" || cloud == "myhuaweicloud.eu"
}
