// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// A text of many megabytes that somebody stored is thrown away as it comes in, of
// whatever kind the client is that Open made.
func TestLongText_TakesNoMemoryOnConnectionsOfOpen(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	jobs := reg.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind"})
	jobs.WithLabelValues("mail").Add(3)
	flush(t, reg)
	store := func(size int) {
		t.Helper()
		const script = `return redis.call('HSET', KEYS[1], 'kind\255long', string.rep('7', ARGV[1]))`
		if err := f.redis.Eval(t.Context(), script, []string{"shoal:1:{" + f.app + "/jobs_total}:v"}, size).Err(); err != nil {
			t.Fatal(err)
		}
	}
	line := newLiar(t, server.Addr)
	for kind, url := range line.urls() {
		read := func() (peak uint64) {
			return peakHeap(func() {
				reader := shoal.New() // it knows no fields yet, and so scans
				opts := f.quick()
				opts.ReadOnly = true
				if err := reader.Open(url, opts); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					scrape(t, reader).want(t, `jobs_total{kind="mail"}`, "3")
				}
				closeAll(t, reader)
			})
		}
		store(10)
		short := read()
		store(50 << 20)
		if long := read(); long > short+10<<20 {
			t.Errorf("%s: the heap grew by %d MB, by %d MB with a short text", kind, long>>20, short>>20)
		}
	}
}
