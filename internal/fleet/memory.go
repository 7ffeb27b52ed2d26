package fleet

import (
	"cloud_quota_exporter/internal/refresh"
	"cloud_quota_exporter/providers"
)

// memory is what outlives a configuration.
type memory struct {
	cells   map[ID]*refresh.Cell[providers.Result]
	lookups map[lookupID]*refresh.Cell[string]
	pauses  map[pauseID]*refresh.Gate // that the gates of all regions stand beside
	gates   map[gateID]*refresh.Gate
	lists   map[string]*projectList // by account
	holders map[string]holder       // of the labels of discovered projects
}

// holder is the discovered project that has a label, and keeps it while it is there.
type holder struct{ account, projectID string }

func newMemory() memory {
	return memory{
		cells:   map[ID]*refresh.Cell[providers.Result]{},
		lookups: map[lookupID]*refresh.Cell[string]{},
		pauses:  map[pauseID]*refresh.Gate{},
		gates:   map[gateID]*refresh.Gate{},
		lists:   map[string]*projectList{},
		holders: map[string]holder{},
	}
}

// recall returns what is remembered under a key, or something new, and remembers it in the next memory.
func recall[K comparable, V any](before, next map[K]*V, key K, fresh func() *V) *V {
	if known := next[key]; known != nil {
		return known
	}
	known := before[key]
	if known == nil {
		known = fresh()
	}
	next[key] = known
	return known
}
