// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Errors wrap one another, and still each that leaves the package says "shoal: " once.
func TestErrors_BeginWithShoalOnce(t *testing.T) {
	check := func(t *testing.T, call string, err error) {
		t.Helper()
		switch {
		case err == nil:
			t.Errorf("%s gives no error", call)
		case !strings.HasPrefix(err.Error(), "shoal: ") || strings.Count(err.Error(), "shoal: ") != 1:
			t.Errorf("%s: %v", call, err)
		}
	}
	briefly := func(do func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return do(ctx)
	}

	check(t, "Open of no URL", New().Open("http://localhost", Opts{App: "shop"}))
	check(t, "Open without an app", New().Open("redis://localhost", Opts{}))
	check(t, "Connect without a client", New().Connect(nil, Opts{App: "shop"}))
	unconnected := New().NewCounter(CounterOpts{Name: "c_total"})
	check(t, "AddSync before Connect", briefly(func(ctx context.Context) error { _, err := unconnected.AddSync(ctx, 1); return err }))
	check(t, "AddSync of NaN", briefly(func(ctx context.Context) error { _, err := unconnected.AddSync(ctx, math.NaN()); return err }))

	for name, fail := range map[string]func(op string) error{
		"away":            away,
		"it is a replica": func(string) error { return refusal },
		"one family fails": func(op string) error {
			if strings.HasSuffix(op, " c_total") {
				return memstore.RefusedError("WRONGTYPE Operation against a key holding the wrong kind of value")
			}
			return nil
		},
		"no lease": only(memstore.OpHold, func(string) error {
			return memstore.RefusedError("OOM command not allowed when used memory > 'maxmemory'.")
		}),
		"the name is another type's": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, heard := memstore.New(), new(troubles)
				if fail == nil {
					other := process(t, server, Opts{})
					other.NewGauge(GaugeOpts{Name: "c_total", Mode: Total}).Inc()
					flush(t, other)
				}
				server.Fail(fail)
				r := New()
				if err := r.connect(Opts{App: "shop", OnError: heard.add}, server.Store, nil); err != nil {
					t.Fatal(err)
				}
				check(t, "Connect again", r.connect(Opts{App: "shop"}, server.Store, nil))
				c, g := r.NewCounter(CounterOpts{Name: "c_total"}), r.NewGauge(GaugeOpts{Name: "g"})
				writes := map[string]func(ctx context.Context) error{
					"AddSync": func(ctx context.Context) error { _, err := c.AddSync(ctx, 1); return err },
					"SetSync": func(ctx context.Context) error { return g.SetSync(ctx, 1) },
					"Flush":   r.Flush,
				}
				for call, do := range writes {
					if err := briefly(do); err != nil { // a gauge may be written where a counter may not
						check(t, call, err)
					}
				}
				if _, err := r.Instances(t.Context()); err != nil {
					check(t, "Instances", err)
				}
				if _, err := r.Gather(); err != nil {
					check(t, "Gather", err)
				}
				elapse(time.Minute)
				waiting := make(chan error, 1)
				go func() { _, err := c.AddSync(context.Background(), 1); waiting <- err }()
				synctest.Wait()
				check(t, "Close", briefly(r.Close))
				if err := <-waiting; err != nil { // without a lease, counters are written all the same
					check(t, "AddSync, over which Close gave up", err)
				}
				check(t, "AddSync after Close", briefly(writes["AddSync"]))
				if len(heard.all()) == 0 {
					t.Error("OnError heard nothing")
				}
				for _, err := range heard.all() {
					check(t, "OnError", err)
				}
			})
		})
	}
}

func TestErrors_AreFoundInOneWhoseTextWasChanged(t *testing.T) {
	clash := &TypeClashError{Name: "c_total"}
	err := prefixOnce(errors.Join(errors.New("shoal: a"), clash))
	if want := "shoal: a\n" + strings.TrimPrefix(clash.Error(), "shoal: "); err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
	if found, ok := errors.AsType[*TypeClashError](err); !ok || found != clash {
		t.Error("the error in it is not found")
	}
}
