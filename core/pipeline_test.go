// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
	for n := range callWeight + batchWeight {
		vec.WithLabelValues(fmt.Sprint(n)).Inc()
	}
	for n := range 2 * callWeight / batchCost { // many small batches
		r.NewCounter(CounterOpts{Name: fmt.Sprintf("small_%d_total", n)}).Inc()
	}
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	if store.scalars > callWeight || store.scalars < callWeight*9/10 {
		t.Errorf("the heaviest pipeline weighs %d, want %d or little less", store.scalars, callWeight)
	}
}

// narrowLine is a connection over which a pipeline takes time by its bytes. The client gives up on
// one that takes longer than its timeout; Redis executes what came through.
type narrowLine struct {
	wire.Store
	rate     int // bytes a second
	trip     time.Duration
	failures int
	bytes    int // of all pipelines
}

func (l *narrowLine) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	bytes := 0
	for _, c := range commits {
		bytes += headBytes
		for _, op := range c.Ops {
			bytes += len(op.Field) + len(op.Value) + 14
		}
	}
	l.bytes += bytes
	took := l.trip + time.Duration(bytes)*time.Second/time.Duration(l.rate)
	if took < l.Timeout() {
		time.Sleep(took)
		return l.Store.Commit(ctx, commits)
	}
	time.Sleep(l.Timeout())
	l.failures++
	l.Store.Commit(ctx, commits[:1])
	replies := make([]wire.CommitReply, len(commits))
	for i := range replies {
		replies[i].Err = errBroken
	}
	return replies
}

// onNarrowLine calls test with a counter that counts in many series, and the line to Redis.
func onNarrowLine(t *testing.T, rate int, test func(server *memstore.Server, w *writer, line *narrowLine, inc func())) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		line := &narrowLine{Store: server.Store("shop"), rate: rate, trip: 20 * time.Millisecond}
		r, w := stepped(line)
		vec := r.NewCounterVec(CounterOpts{Name: "many_total"}, []string{"n"})
		test(server, w, line, func() {
			for n := range manySeries {
				vec.WithLabelValues(fmt.Sprint(n)).Inc()
			}
		})
	})
}

const manySeries = 9_000 // below the cap

// flushUntilDelivered flushes, and again after each failure.
func (w *writer) flushUntilDelivered(t *testing.T) {
	for tries := 0; ; tries++ {
		err := w.flushAll()
		if err == nil {
			w.succeeded()
			return
		}
		if !errors.Is(err, errBroken) || tries == 10 {
			t.Fatalf("after %d tries: %v", tries, err)
		}
		w.failed(err)
	}
}

func TestFlushRun_NothingFailsOnANarrowLineAndTheLineIsUsed(t *testing.T) {
	for _, rate := range []int{20_000, 60_000, 500_000} {
		onNarrowLine(t, rate, func(_ *memstore.Server, w *writer, line *narrowLine, inc func()) {
			for range 5 {
				inc()
				begun, before := time.Now(), line.bytes
				w.flushUntilDelivered(t)
				took, alone := time.Since(begun), time.Duration(line.bytes-before)*time.Second/time.Duration(rate)
				if took > alone*3/2 {
					t.Errorf("at %d B/s a flush took %v, for which the line takes %v", rate, took, alone)
				}
			}
			if line.failures > 0 {
				t.Errorf("at %d B/s %d pipelines failed", rate, line.failures)
			}
		})
	}
}

func TestFlushRun_ALineThatGetsNarrowGetsShorterPipelinesUntilTheySucceed(t *testing.T) {
	onNarrowLine(t, 5_000_000, func(server *memstore.Server, w *writer, line *narrowLine, inc func()) {
		const flushes = 5
		for range flushes {
			inc()
			w.flushUntilDelivered(t)
			line.rate = 30_000
		}
		if line.failures == 0 || line.failures > 6 {
			t.Errorf("%d pipelines failed", line.failures)
		}
		before := line.failures
		inc()
		w.flushUntilDelivered(t)
		if line.failures > before {
			t.Error("a pipeline failed although the line stayed as it was")
		}
		stored, err := server.Store("shop").ScanSeries(t.Context(), "many_total", wire.MaxPage)
		if err != nil || len(stored) != manySeries {
			t.Fatalf("%d of %d series are there, %v", len(stored), manySeries, err)
		}
		for _, s := range stored {
			if s.Text != fmt.Sprint(flushes+1) {
				t.Fatalf("%q is %s, want %d: a batch was applied twice, or not", s.Field, s.Text, flushes+1)
			}
		}
	})
}

// A count waits for the next flush and for its own, and perhaps for one that has begun: that is
// the interval, and twice the time that the line takes for what changed.
func TestWriter_OnANarrowLineCountsAreLateByNoMoreThanTheyMust(t *testing.T) {
	for _, used := range []float64{0.6, 0.75} { // of the line, if a flush took no time
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			const series, each = 1_000, headBytes/256 + 25
			line := &narrowLine{Store: server.Store("shop"), rate: int(series * each / used), trip: 20 * time.Millisecond}
			r := New()
			vec := r.NewCounterVec(CounterOpts{Name: "many_total"}, []string{"n"})
			opts := Opts{App: "shop", Host: "here", OnError: func(err error) { t.Error(err) }}
			if err := r.connect(opts, func(string) wire.Store { return line }, nil); err != nil {
				t.Fatal(err)
			}
			defer r.Close(context.Background())
			store, last := server.Store("shop"), fmt.Sprintf("n\xff%d", series-1)
			count := func() (n int) {
				replies, _, err := store.ReadSeries(t.Context(), []wire.SeriesQuery{{Family: "many_total", Fields: []string{last}}}, wire.MaxPage)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = fmt.Sscan(replies[0].Values[0].Text, &n)
				return n
			}
			var counted []time.Time // when each event was
			late, seen := time.Duration(0), 0
			for tick := range 3 * 60 * 20 {
				if time.Sleep(50 * time.Millisecond); tick%2 == 0 {
					for n := range series {
						vec.WithLabelValues(fmt.Sprint(n)).Inc()
					}
					counted = append(counted, time.Now())
				}
				if seen = count(); seen > 100 && seen < len(counted) { // after the first flushes, which make the series
					late = max(late, time.Since(counted[seen])) // of the oldest event that Redis lacks
				}
			}
			alone := time.Duration(used * float64(time.Second))
			most := DefInterval*11/10 + 2*alone + 200*time.Millisecond
			t.Logf("used %v: late by %v at most, %d failures", used, late, line.failures)
			if late > most || seen < 1000 {
				t.Errorf("late by %v, want %v at most; %d events arrived", late, most, seen)
			}
			if line.failures > 0 {
				t.Errorf("%d pipelines failed", line.failures)
			}
		})
	}
}
