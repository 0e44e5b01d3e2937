// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"reflect"
	"sync"
	"time"
)

// maxFormerSources bounds formerSources.
const maxFormerSources = 100

// formerSources are sources that were removed, by their keys: when such a source is added again,
// what was counted must not be counted again, and its last call may not have returned yet.
type formerSources struct {
	mu      sync.Mutex            // also held while a source enters or leaves the sampler
	sources map[any]*importSource // guarded by mu
}

// add adds a source to the sampler. If it was there before, it goes on where it was. It reports
// false if the sampler asks it already.
func (l *formerSources) add(s *importSource, period time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var former *importSource
	if isComparable(s.key) {
		former = l.sources[s.key]
	}
	sampled := &s.importer.reg.sampled
	if former == nil || former.importer.cumulative != s.importer.cumulative || sampled.has(s) {
		return sampled.add(s, period) == s
	}
	delete(l.sources, s.key)
	former.importer.reopen(s.importer)
	s.importer, s.calls = former.importer, former.calls
	return sampled.add(s, period) == s
}

// remove takes a source out of the sampler and keeps it, in the place of another if there are many.
func (l *formerSources) remove(s *importSource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.importer.reg.sampled.remove(s)
	if !isComparable(s.key) {
		return
	}
	if l.sources == nil {
		l.sources = map[any]*importSource{}
	}
	for key := range l.sources {
		if len(l.sources) < maxFormerSources {
			break
		}
		delete(l.sources, key)
	}
	l.sources[s.key] = s
}

// isComparable says whether a key can be compared with others.
func isComparable(key any) bool { return reflect.ValueOf(key).Comparable() }
