// SPDX-License-Identifier: Apache-2.0

// Package bridge lets shoal's own packages connect a registry to a store in memory, and follow
// its lease. Methods of the registry would do, but its users would see them.
package bridge

import "github.com/shoal-metrics/shoal/core/internal/wire"

// Connect connects a *shoal.Registry with shoal.Opts. Package shoal sets it.
var Connect func(registry, opts any, newStore func(app string) wire.Store) error

// Lease is a lease that a writer of this process has, or that one of a process before it had.
type Lease struct {
	App    string
	Index  int
	Writer string
}

// Package prefork sets these two in a worker, before any registry connects.
var (
	// Predecessor returns the lease that the dead predecessor of this process had in an app;
	// writer is empty if there is none. A registry calls it once, when it connects.
	Predecessor = func(app string) (index int, writer string) { return wire.NoIndex, "" }
	// Leased is called when a registry of this process gets an index. It must not block.
	Leased = func(Lease) {}
)
