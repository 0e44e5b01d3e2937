// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"crypto/rand"
	"encoding/hex"
)

// newID returns a random identity. Never a process id: those collide between
// containers.
func newID() string {
	var b [10]byte
	rand.Read(b[:]) // never fails: crypto/rand documents it
	return hex.EncodeToString(b[:])
}

// newNonce returns the name of a generation that may begin. Both hashes of a family have
// it, and it is longer than 64 bytes so that Redis stores them as hash tables. Otherwise
// it would store up to 512 short fields as a listpack, and walk through half of that for
// each field: with 1,000 processes and families of 50 counters Redis takes 0.5 of a core
// instead of 0.7.
func newNonce() string {
	var b [33]byte
	rand.Read(b[:]) // see newID
	return hex.EncodeToString(b[:])
}
