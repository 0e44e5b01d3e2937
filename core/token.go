// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// token tells a P which cells are its own. No two tokens have the same number.
type token struct {
	number int
	uses   int       // of a token with too high a number
	_      [6]uint64 // fills a cache line
}

// tokens has the token of each P: a sync.Pool returns what the same P put back last.
var tokens sync.Pool

// tokenNumbers are those of all tokens.
var tokenNumbers struct {
	mu    sync.Mutex
	used  []bool       // by number; guarded by mu
	limit atomic.Int32 // GOMAXPROCS, as of the last new token
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
	tokenNumbers.limit.Store(int32(runtime.GOMAXPROCS(0)))
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

// manyUses is how often a token with too high a number is used.
const manyUses = 10_000

// putBack gives the token to this P.
func (t *token) putBack() {
	if t.keep() {
		tokens.Put(t)
	}
}

// keep says whether the token is to be used again. A number from GOMAXPROCS on was given while
// a P had more than one token, and may mean the cell of another P: such a token is given up after
// a while. So in the end each P has a number below GOMAXPROCS, and a cell of its own.
func (t *token) keep() bool {
	if t.number < int(tokenNumbers.limit.Load()) {
		return true
	}
	t.uses++
	return t.uses <= manyUses
}
