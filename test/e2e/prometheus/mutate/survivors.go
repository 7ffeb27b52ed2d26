package main

// survivors are the mutants that no test has to notice, each with its reason.
var survivors = map[string]string{
	"quota:cloud_quota_limit:first: without unless quota:cloud_quota_limit:min offset 1d": "a limit of a day ago takes precedence anyway: this ends the series",
	"quota:cloud_quota_limit:first: [19m] -> [38m]":                                       "it would keep the series of a quota that existed for a moment, and no alert fires on that",
	"quota:cloud_quota_days_to_full:forecast: [1d] -> [12h]":                              "growth is recorded every six hours",
	"quota:cloud_quota_days_to_full:forecast: [1d] -> [2d]":                               "the last value is 0 if growth has ended",
	"quota:cloud_quota_consumption:max1d: [1d] -> [2d]":                                   "the peak of two days is as good for noise and for days and nights",
	"service:cloud_quota_cache_ttl:max: 300 -> 270":                                       "the lower bound of clamp: only ages above it matter",
	"account:cloud_quota_project_settled:info: > -> >=":                                   "exactly 95 % of a day",
	"account:cloud_quota_project_settled:info: 0.95 -> 0.855":                             "a pipeline whose project exists for 20.5 to 22.8 hours a day",
	"target:cloud_quota_page:info: [20m] -> [10m]":                                        "what was seen is remembered",
	"target:cloud_quota_page:info: [20m] -> [40m]":                                        "what was seen is remembered",
	"target:cloud_quota_page:info: [1d] -> [12h]":                                         "it is recorded again every two minutes: this bridges times without Prometheus",
	"target:cloud_quota_page:info: [1d] -> [2d]":                                          "it is recorded again every two minutes: this bridges times without Prometheus",
	"target:cloud_quota_page:up: max -> min":                                              "a target has one up",
	"target:cloud_quota_page:up: < -> <=":                                                 "between scrapes of 5 minutes (7 samples) and of less, any bound will do",
	"target:cloud_quota_page:up: 8 -> 7":                                                  "between scrapes of 5 minutes (7 samples) and of less, any bound will do",
	"target:cloud_quota_page:up: 8 -> 9":                                                  "between scrapes of 5 minutes (7 samples) and of less, any bound will do",
	"target:cloud_quota_page:up: [35m] -> [1h10m] (2)":                                    "targets that are scraped rarely have few samples in either",
	"CloudQuotaExhaustionForecast: <= -> <":                                               "no one minds whether a forecast of exactly seven days fires",
	"CloudQuotaLabelsRenamed: [:2m] -> [:1m]":                                             "more steps than evaluations",
	"CloudQuotaLabelsRenamed: [:2m] -> [:4m]":                                             "fewer steps, of which each sees five minutes",
}
