module cloud_quota_exporter/test/image

go 1.26.0

require (
	cloud_quota_exporter v0.0.0
	github.com/google/go-containerregistry v0.22.1
)

require (
	golang.org/x/net v0.59.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace cloud_quota_exporter => ../..
