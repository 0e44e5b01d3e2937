// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
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

var (
	errCloned = errors.New("shoal: Redis has batches or gauges of this writer that it never sent: " +
		"the process was cloned; it goes on under a new identity")
	errNumber = errors.New("shoal: Redis holds something else in place of the number of this writer's last batch: " +
		"the writer goes on under a new identity; who else can write the keys of this app?")
)

// becomeAnother takes a new identity. Where this process runs twice, as after a
// snapshot of a virtual machine, the other one goes on with the old one. Else
// nobody does, so that the lease and its gauges are given back; if that fails, they
// end by themselves.
func (w *writer) becomeAnother(reason error) {
	if w.lease.held && errors.Is(reason, errNumber) {
		ctx, cancel := w.callContext()
		_ = w.store.Release(ctx, w.id, w.lease.index)
		cancel()
		if wanted := w.opts.Index; wanted != nil && *wanted == w.lease.index {
			w.lease.hadWanted = false // nobody has fenced us off from it
		}
	}
	w.id = newID()
	w.jitter = newJitter(w.id)
	w.lease.lose()
	w.gauges.resendAll()
	for _, f := range *w.reg.families.Load() {
		f.out.cloned()
	}
}
