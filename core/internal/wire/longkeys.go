// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"
	"sync/atomic"
)

// maxLongKeys bounds the memory of longKeys.
const maxLongKeys = 10_000

// longKeys remembers the keys in which the last reading met a text that is too long. The
// next reading of such a key asks for the lengths first, so that Redis does not copy the
// text again. The zero value is empty. It is safe for concurrent use.
type longKeys struct {
	n    atomic.Int64 // how many keys: as a rule none, and then nobody takes the lock
	mu   sync.Mutex
	keys map[string]struct{} // guarded by mu
}

func (l *longKeys) has(key string) bool {
	if l.n.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := l.keys[key]
	return found
}

// note notes whether a complete reading of a key met such a text.
func (l *longKeys) note(key string, met bool) {
	if !met && l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !met:
		delete(l.keys, key)
	case l.keys == nil || len(l.keys) >= maxLongKeys:
		l.keys = map[string]struct{}{key: {}}
	default:
		l.keys[key] = struct{}{}
	}
	l.n.Store(int64(len(l.keys)))
}
