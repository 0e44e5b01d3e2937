// SPDX-License-Identifier: Apache-2.0

// Package bridge lets shoal's own packages connect a registry to a store in memory. A method
// of the registry would do, but its users would see it.
package bridge

import "github.com/shoal-metrics/shoal/core/internal/wire"

// Connect connects a *shoal.Registry with shoal.Opts. Package shoal sets it.
var Connect func(registry, opts any, newStore func(app string) wire.Store) error
