// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"runtime"
	"slices"
	"sync"
)

// token tells a P which cells are its own. No two tokens have the same number.
type token struct {
	number int
	_      [7]uint64 // fills a cache line
}

// tokens has the token of each P: a sync.Pool returns what the same P put back last.
var tokens sync.Pool

// tokenNumbers are those of all tokens.
var tokenNumbers struct {
	mu   sync.Mutex
	used []bool // by number; guarded by mu
}

// takeToken returns the token of this P. While that is taken, and for a P that has none, it
// makes a token with the lowest number that is free.
func takeToken() *token {
	if t, ok := tokens.Get().(*token); ok {
		return t
	}
	return newToken()
}

func newToken() *token {
	tokenNumbers.mu.Lock()
	defer tokenNumbers.mu.Unlock()
	i := slices.Index(tokenNumbers.used, false)
	if i < 0 {
		i = len(tokenNumbers.used)
		tokenNumbers.used = append(tokenNumbers.used, false)
	}
	tokenNumbers.used[i] = true
	t := &token{number: i}
	runtime.AddCleanup(t, freeNumber, i) // the pool forgets what was not used for a while
	return t
}

func freeNumber(i int) {
	tokenNumbers.mu.Lock()
	defer tokenNumbers.mu.Unlock()
	tokenNumbers.used[i] = false
}

// putBack gives the token to this P, unless it was made since the P's own was taken: so the
// tokens of cores have the numbers below cores, and two P never share a cell for long.
func (t *token) putBack(cores int) {
	if t.number < cores {
		tokens.Put(t)
	}
}
