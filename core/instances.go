// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"time"
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
	app, err := c.pages.App(ctx)
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
