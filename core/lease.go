// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// lease is what this process knows of its lease, which says that the process is alive and
// has the index under which its gauges are shown. Each renewal is for Opts.LeaseDuration,
// in which it is renewed three times.
type lease struct {
	index     int       // wire.NoIndex before the first
	held      bool      // as far as this process knows
	hadWanted bool      // we held Opts.Index once; if another process takes it, do not take it back
	renewAt   time.Time // when the next heartbeat is due
	expires   time.Time // by this process's clock; zero before the first
	refusal   error     // why Redis did not renew it

	// The lease of the process whose place this one takes, if any: its index is asked for like
	// Opts.Index, but taken from this writer only.
	inherited   int
	predecessor string
}

// due says whether the next heartbeat is.
func (l *lease) due(now time.Time) bool { return !now.Before(l.renewAt) }

// renewNow makes the next heartbeat due.
func (l *lease) renewNow() { l.renewAt = time.Time{} }

// asked says whether the next heartbeat is due because there is something to tell, and
// not because of the time.
func (l *lease) asked() bool { return l.renewAt.IsZero() }

// expired says whether the lease was not renewed in its time.
// Redis may think otherwise, if its clock was set back.
func (l *lease) expired() bool { return !l.expires.IsZero() && !time.Now().Before(l.expires) }

// lose forgets the lease, so that the next heartbeat asks for one.
func (l *lease) lose() {
	l.held, l.index = false, wire.NoIndex
	l.renewNow()
}

// missing is the error of a write that needs a lease while there is none.
func (l *lease) missing() error {
	if l.refusal != nil {
		return fmt.Errorf("shoal: the gauges wait for a lease: %w", l.refusal)
	}
	return errors.New("shoal: the gauges wait for a lease")
}
