// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// eachProcess asks a process for its own page.
func eachProcess(t testing.TB, reg *Registry) string {
	t.Helper()
	return get(t, reg.Handler(HandlerOpts{EachProcess: true}), nil)
}

// fleetOf is so many processes, with the indexes 0, 1 and so on.
func fleetOf(t testing.TB, server *memstore.Server, n int) (fleet []*Registry) {
	for range n {
		fleet = append(fleet, process(t, server, Opts{}))
		elapse(time.Second)
	}
	return fleet
}

// linesOf are the lines of a page but those that a scrape changes.
func linesOf(page string) (lines []string) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "shoal_scrape_") && !strings.HasPrefix(line, "shoal_flush_") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// hasShared says whether a page has what all processes share.
func hasShared(page string) bool { return strings.Contains(page, "\nshoal_instances ") }

// messages are those of a page in protobuf.
func messages(t testing.TB, page string) (list []*dto.MetricFamily) {
	t.Helper()
	decoder := expfmt.NewDecoder(strings.NewReader(page), expfmt.FmtProtoDelim)
	for {
		family := &dto.MetricFamily{}
		switch err := decoder.Decode(family); err {
		case nil:
			list = append(list, family)
		case io.EOF:
			return list
		default:
			t.Fatal(err)
		}
	}
}

// variety declares and sets metrics of each kind.
func variety(reg *Registry, n float64) {
	reg.NewCounterVec(CounterOpts{Name: "orders_total"}, []string{"kind"}).WithLabelValues("a").Add(n)
	reg.NewHistogram(HistogramOpts{Name: "seconds", Buckets: []float64{1}}).Observe(n)
	reg.NewSummary(SummaryOpts{Name: "sizes"}).Observe(n)
	for _, mode := range []Mode{Sum, Max, Latest} {
		reg.NewGauge(GaugeOpts{Name: "mode_" + string(mode), Mode: mode}).Set(n)
	}
	reg.NewGauge(GaugeOpts{Name: "open", Mode: Total}).Add(n)
	reg.NewGauge(GaugeOpts{Name: "level"}).Set(n)
	reg.NewGaugeVec(GaugeOpts{Name: "queue"}, []string{"name"}).WithLabelValues("q").Set(n)
}

func TestEachProcess_ThePagesTogetherAreThePageOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var fleet []*Registry
		for i := range 3 {
			reg := process(t, server, Opts{Version: fmt.Sprint("v", i)})
			variety(reg, float64(i+1))
			fleet = append(fleet, reg)
			elapse(time.Minute)
		}
		for round := range 2 {
			var all []string
			for i, reg := range fleet {
				page := eachProcess(t, reg)
				if hasShared(page) != (i == 0) {
					t.Errorf("round %d: process %d, page\n%s", round, i, page)
				}
				for _, line := range linesOf(page) {
					if i > 0 && !strings.Contains(line, fmt.Sprintf(`gauge_index="%d"`, i)) {
						t.Errorf("round %d: the page of process %d has %s", round, i, line)
					}
				}
				all = append(all, linesOf(page)...)
			}
			slices.Sort(all)
			if want := linesOf(get(t, fleet[1].Handler(HandlerOpts{}), nil)); !slices.Equal(all, want) {
				t.Errorf("round %d: the pages have\n%s\nand the page of all\n%s", round, all, want)
			}
		}
	})
}

func TestEachProcess_SharedSeriesHaveTheInstanceThatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 2)
		a, b := fleet[0], fleet[1]
		variety(a, 1)
		variety(b, 1)
		for i, own := range []string{"mine", ""} { // a label without a value is none
			a.NewCounterVec(CounterOpts{Name: fmt.Sprintf("zone%d_total", i)}, []string{"instance", "zone"}).WithLabelValues(own, "z").Inc()
		}
		elapse(time.Minute)
		h := a.Handler(HandlerOpts{EachProcess: true, SharedInstance: "the \"shop\"\xff", EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
		own := get(t, b.Handler(HandlerOpts{EachProcess: true, SharedInstance: "x"}), nil) // it is asked first
		if !hasShared(strings.ReplaceAll(own, `{instance="x"}`, "")) {
			t.Fatalf("nobody else was asked, and the page is\n%s", own)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		const instance = `instance="the \"shop\"` + "\uFFFD\""
		for round := range 2 {
			a.NewCounterVec(CounterOpts{Name: "orders_total"}, []string{"kind"}).WithLabelValues(fmt.Sprint(round)).Inc() // a new series
			page := parsePage(t, get(t, h, nil))
			want := samples{
				`orders_total{` + instance + `,kind="a"}`: 2, `seconds_bucket{` + instance + `,le="1"}`: 2, `seconds_bucket{` + instance + `,le="+Inf"}`: 2,
				`seconds_sum{` + instance + `}`: 2, `sizes_count{` + instance + `}`: 2, `mode_sum{` + instance + `}`: 1, `mode_latest{` + instance + `}`: 1,
				`open{` + instance + `}`: 2, `level{gauge_index="0"}`: 1, `queue{gauge_index="0",name="q"}`: 1,
				`zone0_total{instance="mine",zone="z"}`: 1, `zone1_total{` + instance + `,zone="z"}`: 1,
			}
			for i := range round + 1 {
				want[fmt.Sprintf(`orders_total{%s,kind="%d"}`, instance, i)] = 1
			}
			page.want(t, want)
			for accept, created := range map[string]bool{string(expfmt.FmtProtoDelim): false, string(expfmt.FmtOpenMetrics_1_0_0): true} {
				body := get(t, h, http.Header{"Accept": {accept}})
				if !strings.Contains(body, "shop") || created && !strings.Contains(body, `orders_created{`+instance+`,kind="0"}`) {
					t.Errorf("%s:\n%s", accept, body)
				}
			}
		}
		get(t, a.Handler(HandlerOpts{EachProcess: true, SharedInstance: strings.Repeat("é", 2000)}), nil)
		if page := get(t, a.Handler(HandlerOpts{}), nil); strings.Contains(page, `\"shop\"`) {
			t.Errorf("the page of all processes has the label:\n%s", page)
		}
	})
}

// A process that is not scraped, such as a cron job or the parent of workers, never has the shared
// families, and one that a person asked once gives them up.
func TestEachProcess_OnlyThoseThatAreAskedHaveTheSharedFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 4)
		job, once, a, b := fleet[0], fleet[1], fleet[2], fleet[3]
		if index := job.conn.Load().writer.lease.index; index != 0 {
			t.Fatalf("the job has the index %d", index)
		}
		if !hasShared(eachProcess(t, once)) {
			t.Error("the first that was asked lacks the shared families")
		}
		var shared []string
		for range 80 {
			elapse(15 * time.Second)
			who := ""
			for name, reg := range map[string]*Registry{"a": a, "b": b} {
				if hasShared(eachProcess(t, reg)) {
					who += name
				}
			}
			shared = append(shared, who)
		}
		first := slices.IndexFunc(shared, func(who string) bool { return who != "" })
		if took := time.Duration(first) * 15 * time.Second; first < 0 || took < candidacy-30*time.Second || took > candidacy+time.Minute {
			t.Errorf("the others had the shared families after %v: %v", took, shared)
		}
		for _, who := range shared[max(0, first):] {
			if len(who) != 1 || who != shared[first] {
				t.Errorf("the shared families are not on one page from then on: %v", shared)
				break
			}
		}
		// Asked again, it comes last.
		if hasShared(eachProcess(t, once)) {
			t.Error("who was not asked for 10 minutes still has the shared families")
		}
	})
}

func TestEachProcess_TheNextRequestFindsWhatAnEndedProcessHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 3)
		for _, reg := range fleet {
			eachProcess(t, reg)
		}
		if err := fleet[0].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Millisecond)
		for i, want := range []bool{true, false} {
			if page := eachProcess(t, fleet[i+1]); hasShared(page) != want {
				t.Errorf("process %d, page\n%s", i+1, page)
			}
		}
		kill(t, fleet[1])
		begin := time.Now()
		for !hasShared(eachProcess(t, fleet[2])) {
			elapse(100 * time.Millisecond)
		}
		if took := time.Since(begin); took > DefLeaseDuration {
			t.Errorf("it took %v after the process was killed", took)
		}
	})
}

// What began before another process's pages had it has no start on this one's.
func TestEachProcess_StartsAreThoseSinceItHasTheSharedFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 2)
		a, b := fleet[0], fleet[1]
		orders := b.NewCounterVec(CounterOpts{Name: "orders_total"}, []string{"kind"})
		proto := http.Header{"Accept": {string(expfmt.FmtProtoDelim)}}
		starts := func(reg *Registry) map[string]time.Time {
			return startsIn(messages(t, get(t, reg.Handler(HandlerOpts{EachProcess: true, SharedInstance: "shop"}), proto)))
		}
		orders.WithLabelValues("early").Inc()
		elapse(time.Minute)
		if got := starts(a); len(got) != 1 {
			t.Errorf("the first process tells the starts %v", got)
		}
		if got := starts(b); len(got) != 0 {
			t.Errorf("the page without the shared families tells the starts %v", got)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		orders.WithLabelValues("late").Inc()
		began := time.Now()
		got := starts(b)
		if at := got["orders shop late"]; len(got) != 1 || at.Sub(began).Abs() > time.Millisecond {
			t.Errorf("the next process tells the starts %v, want one at %v", got, began)
		}
		if all := startsIn(messages(t, get(t, b.Handler(HandlerOpts{}), proto))); len(all) != 2 {
			t.Errorf("the page of all processes tells the starts %v", all)
		}
	})
}

// A page that lacks the shared families reads none of their values.
func TestEachProcess_APageWithoutTheSharedFamiliesReadsNoneOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 2)
		a, b := fleet[0], fleet[1]
		variety(a, 1)
		variety(b, 2)
		elapse(time.Minute)
		eachProcess(t, a)
		eachProcess(t, b)
		j := journalOf(server)
		page := eachProcess(t, b)
		for _, op := range []string{memstore.OpScan, memstore.OpReadSeries, memstore.OpReadStarts, memstore.OpReadChanges} {
			if n := j.count(op); n > 0 {
				t.Errorf("%d calls of %s", n, op)
			}
		}
		if hasShared(page) || !strings.Contains(page, `level{gauge_index="1"} 2`) {
			t.Errorf("the page is\n%s", page)
		}
		// A gauge that is declared only now.
		b.NewGauge(GaugeOpts{Name: "new"}).Set(7)
		if page := eachProcess(t, b); !strings.Contains(page, `new{gauge_index="1"} 7`) {
			t.Errorf("the page is\n%s", page)
		}
	})
}

func TestEachProcess_PagesOfBothKindsShareAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 2)
		a, b := fleet[0], fleet[1]
		variety(a, 1)
		variety(b, 2)
		elapse(time.Minute)
		eachProcess(t, a)
		eachProcess(t, b)
		j := journalOf(server)
		j.intervene(func(op string) error {
			if op == memstore.OpReadApp {
				time.Sleep(10 * time.Millisecond) // so that requests meet
			}
			return nil
		})
		var requests sync.WaitGroup
		for i := range 40 {
			time.Sleep(time.Millisecond)
			requests.Go(func() {
				if i%2 == 0 {
					if page := eachProcess(t, b); hasShared(page) || !strings.Contains(page, `level{gauge_index="1"} 2`) || strings.Contains(page, `gauge_index="0"`) {
						t.Errorf("the page of b is\n%s", page)
					}
					return
				}
				parsePage(t, get(t, b.Handler(HandlerOpts{}), nil)).want(t, samples{
					`level{gauge_index="0"}`: 1, `level{gauge_index="1"}`: 2, `orders_total{kind="a"}`: 3, "mode_sum": 3,
				})
			})
		}
		requests.Wait()
		if n := len(j.times(memstore.OpReadApp)); n >= 20 {
			t.Errorf("%d readings for 40 requests", n)
		}
	})
}

func TestEachProcess_AReadOnlyRegistryShowsAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		a, reader := process(t, server, Opts{}), readOnly(t, server)
		variety(a, 1)
		elapse(time.Minute)
		page := get(t, reader.Handler(HandlerOpts{EachProcess: true, SharedInstance: "shop"}), nil)
		if want := get(t, reader.Handler(HandlerOpts{}), nil); !slices.Equal(linesOf(page), linesOf(want)) {
			t.Errorf("the page is\n%s\nwant\n%s", page, want)
		}
		if !hasShared(eachProcess(t, a)) {
			t.Error("the process that writes lacks the shared families")
		}
	})
}

// While Redis may lack something, both kinds of pages wait for it; then both are whole.
func TestEachProcess_PagesWaitUntilWhatRedisLostIsBack(t *testing.T) {
	for name, lose := range map[string]func(s *memstore.Server, before *memstore.Snapshot){
		"wiped":         func(s *memstore.Server, _ *memstore.Snapshot) { s.Wipe() },
		"stepped back":  func(s *memstore.Server, before *memstore.Snapshot) { s.Restore(before) },
		"leases lost":   func(s *memstore.Server, _ *memstore.Snapshot) { s.LoseLeases("shop") },
		"restarted":     func(s *memstore.Server, _ *memstore.Snapshot) { s.Restore(s.Snapshot()) },
		"a family lost": func(s *memstore.Server, _ *memstore.Snapshot) { s.LoseControl("shop", "level") },
	} {
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			fleet := fleetOf(t, server, 3)
			before := server.Snapshot()
			for i, reg := range fleet {
				variety(reg, float64(i+1))
			}
			elapse(time.Minute)
			for _, reg := range fleet {
				eachProcess(t, reg)
			}
			lose(server, before)
			var who []int
			for range 60 {
				who = nil
				for i, reg := range fleet {
					w := ask(reg.Handler(HandlerOpts{EachProcess: true}), http.MethodGet, nil)
					switch page := w.Body.String(); {
					case w.Code != http.StatusOK:
						if !strings.Contains(page, "recovering: ") {
							t.Errorf("%s: %s", name, page)
						}
					case !strings.Contains(page, "\nlevel{"):
						t.Errorf("%s: the page lacks the process's gauge:\n%s", name, page)
					case hasShared(page):
						who = append(who, i)
						if n := parsePage(t, page)[`orders_total{kind="a"}`]; name != "wiped" && n != 6 {
							t.Errorf("%s: the page has %v orders", name, n)
						}
					}
				}
				if len(who) > 1 {
					t.Errorf("%s: %v have the shared families", name, who)
				}
				elapse(time.Second)
			}
			if len(who) != 1 {
				t.Errorf("%s: a minute later %v have the shared families", name, who)
			}
		})
	}
}

func TestEachProcess_WhenRedisIsAwayNoPageIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		fleet := fleetOf(t, server, 2)
		a, b := fleet[0], fleet[1]
		elapse(time.Minute)
		eachProcess(t, a)
		eachProcess(t, b)
		server.Fail(func(string) error { return errBroken })
		for _, reg := range []*Registry{a, b} {
			if w := ask(reg.Handler(HandlerOpts{EachProcess: true}), http.MethodGet, nil); w.Code != http.StatusServiceUnavailable {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
		}
	})
}

// A process that Redis gives no lease has no page of
// its own: an empty one would say that all is well.
func TestEachProcess_WithoutALeaseThereIsNoPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.Fail(func(op string) error {
			if op == memstore.OpHold {
				return memstore.RefusedError("OOM command not allowed when used memory > 'maxmemory'.")
			}
			return nil
		})
		a := process(t, server, Opts{})
		w := ask(a.Handler(HandlerOpts{EachProcess: true}), http.MethodGet, nil)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "this process has no lease") {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		get(t, a.Handler(HandlerOpts{}), nil)
		server.Fail(nil)
		elapse(DefLeaseDuration)
		if !hasShared(eachProcess(t, a)) {
			t.Error("it lacks the shared families")
		}
	})
}
