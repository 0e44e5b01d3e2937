// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"errors"
	"slices"
	"time"
)

// noteEvery is longer than the minute in which the registry reports one error of a source.
const noteEvery = 65 * time.Second

// notes are what the user should know once, about families that are left out or whose mode has no
// effect. They are told in errors of Collect, at a time at which the registry passes one on.
type notes struct {
	untold []error
	last   time.Time // when Collect returned an error
}

// join adds what is untold to Gather's error. Without an error it waits until the registry will
// report one: such an error counts as a failure, and keeps gauges that are gone.
func (n *notes) join(err error, now time.Time) error {
	passedOn := now.Sub(n.last) >= noteEvery
	if err == nil && (len(n.untold) == 0 || !passedOn) {
		return nil
	}
	err = errors.Join(append(slices.Clone(n.untold), err)...)
	if passedOn {
		n.untold = nil
	}
	n.last = now
	return err
}
