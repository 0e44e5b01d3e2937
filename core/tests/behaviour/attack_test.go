// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Clients choose a label's value themselves, at several processes at the same time. Redis
// keeps as many series as the cap allows, each of bounded length, and grows no further,
// however long the clients go on. The sum has every request.
func TestAttack_LabelsFromRequestsEndAtTheCapInRedisToo(t *testing.T) {
	t.Parallel()
	const limit, processes, each = 100, 3, 1500
	server := redistest.Start(t)
	f := fleetOn(t, server)
	unused := func(*http.Request) string { return "" } // the test passes the values to the recorder
	var recorders []*httpmetrics.Recorder
	var regs []*shoal.Registry
	for range processes {
		reg := f.process(t, func(o *shoal.Opts) { o.SeriesLimit = limit })
		regs = append(regs, reg)
		recorders = append(recorders, httpmetrics.NewRecorder(reg, httpmetrics.Opts{
			Labels: []httpmetrics.Label{{Name: "tenant", Value: unused}, {Name: "agent", Value: unused}}, RequestSize: true,
		}))
	}
	long := strings.Repeat("\xf0\x9f\x90\x9f", 2000)
	flood := func(round int) int64 {
		for p, rec := range recorders {
			for i := range each {
				rec.Record(httpmetrics.Observation{
					Method: fmt.Sprint("M", i), Route: "/users/{id}", Code: i, Duration: time.Millisecond, RequestSize: int64(i),
					Labels: []string{fmt.Sprint(round, " ", p, " ", i), []string{"\xff\xfe", long, "", "a"}[i%4] + fmt.Sprint(i)},
				})
			}
			flush(t, regs[p])
		}
		var used int64
		for key := range dump(t, f.redis) {
			used += f.redis.MemoryUsage(t.Context(), key, 0).Val()
		}
		return used
	}
	first := flood(1)
	second := flood(2)
	if third := flood(3); third > second+second/20 || second > first+first/5 {
		t.Errorf("Redis took %d bytes, then %d, then %d", first, second, third)
	}
	for _, name := range []string{"http_requests_total", "http_request_duration_seconds", "http_request_size_bytes"} {
		key := f.family(name, "v")
		fields := f.redis.HKeys(t.Context(), key).Val()
		if n := len(fields); n > limit+2 { // the overflow series and the generation
			t.Errorf("Redis has %d series of %s, want %d and one", n-1, name, limit)
		}
		for _, field := range fields {
			if len(field) > 3000 {
				t.Errorf("a series of %s has %d bytes of labels", name, len(field))
			}
		}
	}
	p := testkit.Scrape(t, f.reader(t))
	total := p.Sum("http_requests_total")
	if n := len(p.Of("http_requests_total")); total != 3*processes*each || n > limit+1 {
		t.Errorf("%d series with %v requests in all, want %d", n, total, 3*processes*each)
	}
}
