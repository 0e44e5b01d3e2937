// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Instance is one living process of the app: one that has a lease.
type Instance struct {
	// Index is its gauge_index.
	Index int
	// Host and Version are from its Opts.
	Host, Version string
	// Started is when the process started, by its own clock.
	Started time.Time
	// Expires is when its lease ends if it is not renewed, by Redis's clock.
	Expires time.Time
}

// Instances lists the living processes of the app, ordered by index.
func (r *Registry) Instances(ctx context.Context) ([]Instance, error) {
	c, err := r.connected()
	if err != nil {
		return nil, err
	}
	app, err := c.reader.readApp(ctx)
	if err != nil {
		return nil, prefixOnce(fmt.Errorf("shoal: instances of app %q: %w", c.opts.App, err))
	}
	list := make([]Instance, len(app.Leases))
	for i, l := range app.Leases {
		list[i] = Instance{
			Index: l.Index, Host: l.Info.Host, Version: l.Info.Version,
			Started: time.UnixMicro(l.Info.Started), Expires: l.Deadline,
		}
	}
	return list, nil
}

// readApp reads the head of the app's data. It returns when ctx ends, though
// the call to Redis may go on: go-redis ignores deadlines unless told not to.
func (r *reader) readApp(ctx context.Context) (wire.AppState, error) {
	var app wire.AppState
	done := make(chan error, 1)
	r.mu.Lock()
	if r.ctx.Err() != nil {
		r.mu.Unlock()
		return app, ErrClosed
	}
	r.group.Go(func() {
		state, err := r.store.ReadApp(ctx)
		if err == nil {
			app = state
		}
		done <- err
	})
	r.mu.Unlock()
	select {
	case err := <-done:
		return app, err
	case <-ctx.Done():
		return wire.AppState{}, context.Cause(ctx)
	case <-r.ctx.Done():
		return wire.AppState{}, ErrClosed
	}
}
