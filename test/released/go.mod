module cloud_quota_exporter/test/released

go 1.26.0
