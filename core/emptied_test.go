// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// losses are the ways in which a store comes back with nothing.
var losses = map[string]func(*memstore.Server){
	"restarted without its data":       (*memstore.Server).Restart,
	"emptied":                          (*memstore.Server).Wipe,
	"emptied, and tells no lineage":    (*memstore.Server).Wipe,
	"restarted, and tells no lineage":  (*memstore.Server).Restart,
	"emptied twice":                    (*memstore.Server).Wipe,
	"restarted, and emptied once more": (*memstore.Server).Restart,
}

// lose loses everything in one of these ways.
func lose(server *memstore.Server, how string) {
	losses[how](server)
	if strings.Contains(how, "twice") || strings.Contains(how, "once more") {
		time.AfterFunc(time.Second, server.Wipe)
	}
}

// inLossBubbles runs a test for each of the losses.
func inLossBubbles(t *testing.T, test func(t *testing.T, server *memstore.Server, lose func())) {
	for how := range losses {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				server.HideLineage(strings.Contains(how, "no lineage"))
				test(t, server, func() { lose(server, how) })
			})
		})
	}
}

// onlyWhole scrapes for a minute and wants every page that is shown to have all of the
// texts. It returns how long the first took, or less than 0 if none was shown.
func onlyWhole(t *testing.T, r *Registry, texts ...string) (after time.Duration) {
	t.Helper()
	begin, shown := time.Now(), time.Duration(-1)
	for time.Since(begin) < time.Minute {
		rec := askPage(r, HandlerOpts{Timeout: 20 * time.Millisecond})
		body := rec.Body.String()
		switch rec.Code {
		case http.StatusServiceUnavailable:
			if !strings.Contains(body, "recovering: ") {
				t.Fatalf("after %v: %s", time.Since(begin), body)
			}
		case http.StatusOK:
			for _, text := range texts {
				if !strings.Contains(body, text) {
					t.Fatalf("%v after the loss a page without %q: %s", time.Since(begin), text, body)
				}
			}
			if shown < 0 {
				shown = time.Since(begin)
			}
		}
		elapse(30 * time.Millisecond)
	}
	return shown
}

func TestRecovery_NoPageIsShownBeforeTheFamiliesOfThisProcessAreBack(t *testing.T) {
	inLossBubbles(t, func(t *testing.T, server *memstore.Server, lose func()) {
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Add(7)
		r.NewGauge(GaugeOpts{Name: "g"}).Set(3)
		elapse(20 * time.Second) // nobody has asked for a page, and nothing is left to send
		lose()
		if after := onlyWhole(t, r, "\nc_total ", "\ng{", "\nshoal_instances 1\n"); after < 0 || after > 2*DefLeaseDuration {
			t.Errorf("the first page was shown after %v", after)
		}
	})
}

func TestRecovery_NoPageIsShownTooEarlyAfterASecondLoss(t *testing.T) {
	inLossBubbles(t, func(t *testing.T, server *memstore.Server, lose func()) {
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Add(7)
		elapse(20 * time.Second)
		lose()
		if rec := askPage(r, HandlerOpts{Timeout: 20 * time.Millisecond}); rec.Code != http.StatusServiceUnavailable {
			t.Fatalf("%d after the first loss", rec.Code)
		}
		elapse(5 * time.Minute) // all is back, and nobody has asked for a page
		lose()
		if after := onlyWhole(t, r, "\nc_total "); after < 0 || after > 2*DefLeaseDuration {
			t.Errorf("the first page was shown after %v", after)
		}
	})
}

// A heartbeat that is due while a long flush brings everything back does not end the wait.
func TestRecovery_NoPageIsShownInTheMiddleOfALongFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, Opts{})
		r.NewGauge(GaugeOpts{Name: "g"}).Set(3)
		v := r.NewSummaryVec(SummaryOpts{Name: "s"}, []string{"n"})
		for n := range 9000 {
			v.WithLabelValues(fmt.Sprint(n)).Observe(1)
		}
		reader := readOnly(t, server)
		// Redis is slow from the beginning: the writer learns how long a pipeline may be, so that each
		// takes less than the client's timeout, as it would have to.
		server.Fail(func(op string) error {
			if op == memstore.OpCommit+" s" {
				time.Sleep(80 * time.Millisecond)
			}
			return nil
		})
		elapse(time.Minute)
		if rec := askPage(reader, HandlerOpts{}); rec.Code != http.StatusOK {
			t.Fatal(rec.Body)
		}
		server.Wipe()
		for begin := time.Now(); ; elapse(400 * time.Millisecond) {
			rec := askPage(reader, HandlerOpts{Timeout: 20 * time.Millisecond})
			if rec.Code == http.StatusServiceUnavailable && time.Since(begin) < 2*DefLeaseDuration {
				continue
			}
			if body := rec.Body.String(); !strings.Contains(body, "\ng{") || strings.Count(body, "\ns_sum{") < 9000 {
				t.Errorf("%v after the loss a page with %d of 9000 series, and g: %v", time.Since(begin),
					strings.Count(body, "\ns_sum{"), strings.Contains(body, "\ng{"))
			}
			if took := time.Since(begin); took < DefLeaseDuration/2 {
				t.Errorf("within %v no heartbeat was due", took)
			}
			break
		}
	})
}

// Redis comes back as it was before a process started: it has the families from others,
// but neither that one's lease nor its gauges.
func TestRecovery_NoPageIsShownWithoutTheGaugesOfAProcessThatRedisForgot(t *testing.T) {
	for range 5 { // a refresh may happen to come in time
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			old := process(t, server, Opts{})
			gaugeIn(old)
			elapse(20 * time.Second)
			before := server.Snapshot()
			gaugeIn(process(t, server, Opts{})).Set(3)
			elapse(40 * time.Second)
			server.Restore(before)
			if after := onlyWhole(t, old, "\ng{"); after < 0 || after > 2*DefLeaseDuration {
				t.Errorf("the first page was shown after %v", after)
			}
		})
	}
}

func TestRecovery_NoPageIsShownWithGaugesFromBeforeAFailover(t *testing.T) {
	for range 5 { // a refresh may happen to come in time
		synctest.Test(t, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{})
			g := gaugeIn(r)
			g.Set(3)
			elapse(20 * time.Second)
			before := server.Snapshot()
			g.Set(5)
			elapse(3 * time.Second)
			server.Restore(before)
			if after := onlyWhole(t, r, "\n"+perIndex(0)+" 5\n"); after < 0 || after > 2*DefLeaseDuration {
				t.Errorf("the first page was shown after %v", after)
			}
		})
	}
}

func TestRecovery_NoPageIsShownBeforeTheFamiliesOfTheOthersAreBack(t *testing.T) {
	for _, reader := range []string{"a process", "a reader"} {
		inLossBubbles(t, func(t *testing.T, server *memstore.Server, lose func()) {
			r := process(t, server, Opts{ReadOnly: reader == "a reader"})
			texts := []string{"\nshoal_instances 3\n"}
			if reader == "a reader" {
				texts = []string{"\nshoal_instances 2\n"}
			}
			for i, name := range []string{"a", "b"} {
				other := process(t, server, Opts{})
				other.NewCounter(CounterOpts{Name: name + "_total"}).Add(7)
				other.NewGauge(GaugeOpts{Name: name + "_level"}).Set(float64(i))
				texts = append(texts, "\n"+name+"_total ", "\n"+name+"_level{")
			}
			elapse(20 * time.Second)
			scrape(t, r)
			elapse(3 * time.Second)
			lose()
			if after := onlyWhole(t, r, texts...); after < 0 || after > 2*DefLeaseDuration {
				t.Errorf("%s: the first page was shown after %v", reader, after)
			}
		})
	}
}

// Some of the keys can be lost without the others.
func TestRecovery_APartIsMissedAsWell(t *testing.T) {
	for name, lose := range map[string]func(server *memstore.Server, families []string){
		"the registrations": func(s *memstore.Server, families []string) {
			for _, f := range families {
				s.LoseControl("shop", f)
			}
		},
		"the families": func(s *memstore.Server, families []string) {
			for _, f := range families {
				s.LoseControl("shop", f)
				s.LoseValues("shop", f)
			}
		},
		"the leases": func(s *memstore.Server, _ []string) { s.LoseLeases("shop") },
	} {
		for _, hidden := range []bool{false, true} {
			for _, readOnly := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, hidden %v, read only %v", name, hidden, readOnly), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						server := memstore.New()
						server.HideLineage(hidden)
						r, other := process(t, server, Opts{ReadOnly: readOnly}), process(t, server, Opts{})
						other.NewCounter(CounterOpts{Name: "c_total"}).Add(7)
						elapse(20 * time.Second)
						scrape(t, r)
						app, err := server.Store("shop").ReadApp(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						lose(server, app.Families)
						if readOnly && hidden && name == "the leases" {
							return // to the reader it looks as if every process had closed
						}
						if after := onlyWhole(t, r, "\nc_total ", "\nshoal_instance_info{"); after < 0 || after > 2*DefLeaseDuration {
							t.Errorf("the first page was shown after %v", after)
						}
					})
				})
			}
		}
	}
}

func TestRecovery_DoesNotWaitForLongForThoseWhoAreReallyGone(t *testing.T) {
	inLossBubbles(t, func(t *testing.T, server *memstore.Server, lose func()) {
		r, other, exporter := process(t, server, Opts{}), process(t, server, Opts{}), readOnly(t, server)
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		elapse(20 * time.Second)
		scrape(t, r)
		scrape(t, exporter)
		kill(t, other)
		lose()
		for name, reader := range map[string]*Registry{"its own": r, "a reader's": exporter} {
			if after := onlyWhole(t, reader, "\nc_total "); after < 0 || after > DefLeaseDuration {
				t.Errorf("%s first page was shown after %v", name, after)
			}
		}
	})
}

func TestRecovery_AFirstStartAndACloseHoldNoPageBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		exporter := readOnly(t, server)
		begin := time.Now()
		scrape(t, exporter)
		r := process(t, server, Opts{})
		r.NewCounter(CounterOpts{Name: "c_total"}).Inc()
		scrape(t, r).want(t, samples{"c_total": 1}) // at the app's first start
		scrape(t, exporter).want(t, samples{"c_total": 1})
		other := process(t, server, Opts{})
		elapse(time.Second)
		scrape(t, r)
		if err := other.Close(t.Context()); err != nil { // it is gone, and nothing is lost
			t.Fatal(err)
		}
		scrape(t, r)
		scrape(t, exporter)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		scrape(t, exporter).want(t, samples{"c_total": 1})
		if took := time.Since(begin); took > time.Second+100*time.Millisecond {
			t.Errorf("the pages took %v", took)
		}
	})
}
