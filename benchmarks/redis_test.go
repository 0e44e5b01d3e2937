// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// connected returns a registry of an app of its own on a server. It flushes only on request.
func connected(b *testing.B, server *redistest.Server, app string) *shoal.Registry {
	b.Helper()
	reg := shoal.New()
	opts := shoal.Opts{App: app, Interval: 1 << 40, SeriesLimit: 1_000_000}
	if err := reg.Open(server.URL(), opts); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeIn(b, reg, time.Minute) })
	return reg
}

// closeIn closes a registry and fails the benchmark if it could not send everything.
func closeIn(b *testing.B, reg *shoal.Registry, patience time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := reg.Close(ctx); err != nil {
		b.Error(err)
	}
}

func flush(b *testing.B, reg *shoal.Registry) {
	if err := reg.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}
