// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// BenchmarkSmallPage reads a page of 20 families with 10 counters each, of a process that writes.
// Between two pages it counts something (load=writes) or nothing (load=idle).
func BenchmarkSmallPage(b *testing.B) {
	const families, each = 20, 10
	reg := connected(b, redistest.Shared(b), "small-page")
	peer := prometheus.NewRegistry()
	var first *shoal.Counter
	var theirs prometheus.Counter
	for i := range families {
		name := "family_" + strconv.Itoa(i) + "_total"
		ours := reg.NewCounterVec(shoal.CounterOpts{Name: name, Help: "Counts."}, []string{"route"})
		others := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "Counts."}, []string{"route"})
		peer.MustRegister(others)
		for k := range each {
			ours.WithLabelValues(strconv.Itoa(k)).Inc()
			others.WithLabelValues(strconv.Itoa(k)).Inc()
		}
		first, theirs = ours.WithLabelValues("0"), others.WithLabelValues("0")
	}
	flush(b, reg)
	req := forms[0].request(false)
	for _, load := range []string{"idle", "writes"} {
		b.Run("load="+load+"/side=shoal", func(b *testing.B) {
			handler := reg.Handler(shoal.HandlerOpts{})
			scrape(b, handler, req)
			b.ReportAllocs()
			for b.Loop() {
				if load == "writes" {
					first.Inc()
				}
				scrape(b, handler, req)
			}
		})
		b.Run("load="+load+"/side=promhttp", func(b *testing.B) {
			handler := promhttp.HandlerFor(peer, promhttp.HandlerOpts{})
			b.ReportAllocs()
			for b.Loop() {
				if load == "writes" {
					theirs.Inc()
				}
				scrape(b, handler, req)
			}
		})
	}
}
