package huaweicloud

import "strings"

// BaseURL returns where the API of a host is reached in a region: https://<host>.<region>.<cloud>, or without a region its global
// endpoint. An empty cloud is the public one that the region belongs to.
func BaseURL(host, region, cloud string) string {
	cloud = Domain(region, cloud)
	if region == "" {
		return "https://" + host + "." + cloud
	}
	return "https://" + host + "." + region + "." + cloud
}

// Domain returns the domain of a cloud: what is stated or, if it is empty, that of the public cloud that the region belongs to. The European
// site runs eu-west-1xx.
func Domain(region, stated string) string {
	switch {
	case stated != "":
		return stated
	case strings.HasPrefix(region, "eu-west-1"):
		return "myhuaweicloud.eu"
	default:
		return "myhuaweicloud.com"
	}
}
