// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	housekeepTime = 10 * time.Minute // between two turns, of whatever process
	secondTurn    = 2 * time.Minute  // after the first of a process: if that was late, Redis gives another one then
)

// housekeeper removes from Redis what nobody needs any more, for all processes of the app, unless
// another one did so lately. A turn takes many round trips, so it has a goroutine of its own: the
// writer never waits for it. What a turn does not get done, as its process ends or Redis fails, the
// next turn of any process does.
type housekeeper struct {
	w      *writer
	jitter jitter
}

func newHousekeeper(w *writer) *housekeeper { return &housekeeper{w, newJitter(newID())} }

// run is the goroutine. It ends with the writer's context.
func (h *housekeeper) run() {
	timer := time.NewTimer(h.jitter.below(housekeepTime)) // the processes of an app may all start at the same time
	defer timer.Stop()
	for pause := secondTurn; ; pause = housekeepTime + h.jitter.around(housekeepTime) {
		select {
		case <-timer.C:
		case <-h.w.ctx.Done():
			return
		}
		next := time.Now().Add(pause)
		h.turn()
		timer.Reset(time.Until(next))
	}
}

// turn does the housekeeping if the turn is free. It ends when another process may take the next one.
func (h *housekeeper) turn() {
	w := h.w
	defer w.reg.tellDamage(keysReplaced)
	ctx, cancel := context.WithTimeout(w.ctx, housekeepTime)
	defer cancel()
	removed, err := w.store.Housekeep(ctx, max(0, w.opts.Retention), housekeepTime)
	w.reg.removed(removed)
	switch {
	case err == nil, w.ctx.Err() != nil:
	case !wire.Answered(err) && w.trouble.Load() != nil: // the writer reports that Redis does not answer
	default:
		w.reg.reportRedis("housekeeping", fmt.Errorf("shoal: housekeeping: %w", err))
	}
}
