module cloud_quota_exporter/test/systemd

go 1.26.0

require cloud_quota_exporter v0.0.0

require gopkg.in/yaml.v3 v3.0.1 // indirect

replace cloud_quota_exporter => ../..
