module cloud_quota_exporter/test/image

go 1.26.0

require cloud_quota_exporter v0.0.0

replace cloud_quota_exporter => ../..
