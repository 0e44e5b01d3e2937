// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func weightOf(commits []wire.Commit) (scalars int) {
	for _, c := range commits {
		scalars += len(c.Ops) + batchCost
	}
	return scalars
}

// heaviest notes the most that one pipeline carried, in scalars.
type heaviest struct {
	wire.Store
	scalars int
}

func (h *heaviest) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	h.scalars = max(h.scalars, weightOf(commits))
	return h.Store.Commit(ctx, commits)
}

func TestFlushRun_OnePipelineCarriesNoMoreThanItsWeight(t *testing.T) {
	store := &heaviest{Store: memstore.New().Store("shop")}
	r, w := stepped(store)
	vec := r.NewCounterVec(CounterOpts{Name: "many_total"}, []string{"n"})
	for range 2 { // the series weigh more when they are new
		store.scalars = 0
		for n := range callWeight + batchWeight {
			vec.WithLabelValues(fmt.Sprint(n)).Inc()
		}
		for n := range 2 * callWeight / batchCost { // many small batches
			r.NewCounter(CounterOpts{Name: fmt.Sprintf("small_%d_total", n)}).Inc()
		}
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
		if store.scalars > callWeight {
			t.Errorf("the heaviest pipeline weighs %d, want at most %d", store.scalars, callWeight)
		}
	}
	if store.scalars < callWeight*9/10 {
		t.Errorf("the heaviest pipeline of known series weighs %d, want %d or little less", store.scalars, callWeight)
	}
}

// slowConn is a connection so slow that the client gives up before a heavy pipeline is
// written. Redis executes what was written of it.
type slowConn struct {
	wire.Store
	scalars int
}

func (l *slowConn) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	if weightOf(commits) <= l.scalars {
		return l.Store.Commit(ctx, commits)
	}
	l.Store.Commit(ctx, commits[:1])
	replies := make([]wire.CommitReply, len(commits))
	for i := range replies {
		replies[i].Err = errBroken
	}
	return replies
}

func TestFlushRun_ASlowConnectionGetsShorterPipelinesUntilTheySucceed(t *testing.T) {
	server := memstore.New()
	r, w := stepped(&slowConn{Store: server.Store("shop"), scalars: 2 * (batchWeight + batchCost)})
	vec := r.NewCounterVec(CounterOpts{Name: "many_total"}, []string{"n"})
	const series = 9_000
	for n := range series { // below the cap
		vec.WithLabelValues(fmt.Sprint(n)).Inc()
	}
	for tries := 0; ; tries++ {
		err := w.flushAll()
		if err == nil {
			w.succeeded()
			break
		}
		if !errors.Is(err, errBroken) || tries == 10 {
			t.Fatalf("after %d tries: %v", tries, err)
		}
		w.failed(err)
	}
	stored, err := server.Store("shop").ScanSeries(t.Context(), "many_total", wire.MaxPage)
	if err != nil || len(stored) != series {
		t.Fatalf("%d of %d series are there, %v", len(stored), series, err)
	}
	for _, s := range stored {
		if s.Text != "1" {
			t.Fatalf("%q is %s: a batch was applied twice", s.Field, s.Text)
		}
	}
}
