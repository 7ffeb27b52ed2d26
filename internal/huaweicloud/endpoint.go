package huaweicloud

import "strings"

// BaseURL returns where the API of a host is reached in a region: https://<host>.<region>.<cloud>, or without a region its global
// endpoint. An empty cloud is the public one that the region belongs to.
func BaseURL(host, region, cloud string) string {
	if cloud == "" {
		cloud = publicCloud(region)
	}
	if region == "" {
		return "https://" + host + "." + cloud
	}
	return "https://" + host + "." + region + "." + cloud
}

// publicCloud is the domain of a region's site: the European one runs eu-west-1xx.
func publicCloud(region string) string {
	if strings.HasPrefix(region, "eu-west-1") {
		return "myhuaweicloud.eu"
	}
	return "myhuaweicloud.com"
}
