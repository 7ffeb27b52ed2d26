package democloud

// Cloud Trace Service, API Reference, "Querying the Tracker Quota of a Tenant", 2026-01-04
const ctsExample = `{
  "resources" : [ {
    "type" : "data_tracker",
    "used" : 9,
    "quota" : 100
  }, {
    "type" : "system_tracker",
    "used" : 1,
    "quota" : 1
  } ]
}`

// Cloud Eye, API Reference, "Querying Quotas", 2025-11-20
const cesExample = `{
  "quotas" : {
    "resources" : [ {
      "unit" : "",
      "type" : "alarm",
      "quota" : 1000,
      "used" : 10
    } ]
  }
}`

// TaurusDB, API Reference, "Querying the Instance Quotas of a Tenant", 2025-09-04. The commas within the strings are the document's.
const taurusdbExample = `{
  "quotas" : {
    "resources" : [ {
      "type" : "instance,",
      "used" : "4,",
      "quota" : 50
    } ]
  }
}`

// Distributed Cache Service, API Reference, "Querying the Tenant Quotas", 2025-05-13
const dcsExample = `{
  "quotas" : {
    "resources" : [ {
      "unit" : { },
      "min" : 1,
      "max" : 10,
      "quota" : 10,
      "used" : 3,
      "type" : "instance"
    }, {
      "unit" : "GB",
      "min" : 1,
      "max" : 800,
      "quota" : 800,
      "used" : 22,
      "type" : "ram"
    } ]
  }
}`

// Database Security Service, API Reference, "Querying Account Quota Information", 2026-01-22
const dbssExample = `{
  "project_id" : "0250cb8a80c24c0b9f20f557cb159aad",
  "cpu" : 796,
  "ram" : 1622016,
  "audit_quota" : 1
}`
