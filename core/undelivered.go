// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// undelivered makes the error that tells what of the application's metrics Redis is not known to
// have, and why. Any goroutine may ask, at any moment.
func (r *Registry) undelivered(why error) *UndeliveredError {
	e := &UndeliveredError{Err: why}
	for _, f := range *r.families.Load() {
		if !f.shared() || f.def.cadence.own() {
			continue
		}
		unsent, inDoubt := f.out.unanswered()
		f.each(func(s *series) {
			if s.dirty.Load() {
				unsent[s.field] = true
			}
		})
		e.NeverSent += len(unsent)
		e.InDoubt += len(inDoubt)
	}
	return e
}

// unanswered returns the fields of the series in batches that are not acknowledged: those of
// batches that Redis never got, and those of batches that it may have or not.
func (o *outbox) unanswered() (unsent, inDoubt map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	unsent, inDoubt = map[string]bool{}, map[string]bool{}
	for i, b := range o.queue {
		fields := unsent
		if b.inDoubt || i < o.sending {
			fields = inDoubt
		}
		maps.Insert(fields, b.fields())
	}
	return unsent, inDoubt
}

// allFields stands for the series that a reset deletes. No field is like it: it has no separator.
const allFields = "*"

// fields are those of the batch's ops, as keys of a set.
func (b *batch) fields() func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		for _, op := range b.ops {
			field := op.Field
			if op.Kind == wire.OpClear {
				field = allFields
			}
			if !yield(field, true) {
				return
			}
		}
	}
}
