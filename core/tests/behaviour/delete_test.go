// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// vecs declares the same counter in several new processes.
func (f *fleet) vecs(t *testing.T, n int) (regs []*shoal.Registry, vecs []*shoal.CounterVec) {
	t.Helper()
	for range n {
		reg := f.process(t)
		regs = append(regs, reg)
		vecs = append(vecs, reg.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind", "code"}))
	}
	return regs, vecs
}

func TestDelete_IsForTheWholeFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	regs, v := f.vecs(t, 2)
	for _, vec := range v {
		vec.WithLabelValues("a", "1").Add(2)
		vec.WithLabelValues("a", "2").Add(2)
		vec.WithLabelValues("b", "1").Add(2)
	}
	flush(t, regs...)
	old := v[1].WithLabelValues("a", "1")
	if !v[0].Delete(shoal.Labels{"kind": "a", "code": "1"}) {
		t.Error("Delete says that there was nothing")
	}
	flush(t, regs[0])
	want := []string{`jobs_total{code="1",kind="b"} 4`, `jobs_total{code="2",kind="a"} 4`}
	if got := testkit.Scrape(t, regs[1]).Of("jobs_total"); !slices.Equal(got, want) {
		t.Errorf("the page shows %q, want %q", got, want)
	}
	// What is counted after the deletion counts from zero, with old handles too.
	old.Add(5)
	flush(t, regs[1])
	testkit.Scrape(t, regs[0]).Want(t, `jobs_total{code="1",kind="a"}`, "5")
	if total, err := v[0].WithLabelValues("a", "1").AddSync(testkit.Within(t), 1); err != nil || total != 6 {
		t.Errorf("one more gives %v, %v; want 6", total, err)
	}
}

func TestDelete_PartialMatchReachesWhatOnlyOthersHold(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	regs, v := f.vecs(t, 2)
	v[0].WithLabelValues("a", "1").Inc()
	for i := range 50 {
		v[1].WithLabelValues("a", fmt.Sprint("x", i)).Inc()
	}
	v[1].WithLabelValues("b", "1").Inc()
	flush(t, regs...)
	if n := v[0].DeletePartialMatch(shoal.Labels{"kind": "a"}); n != 1 {
		t.Errorf("this process held %d of them, want 1", n)
	}
	flush(t, regs[0])
	if got, want := testkit.Scrape(t, regs[1]).Of("jobs_total"), []string{`jobs_total{code="1",kind="b"} 1`}; !slices.Equal(got, want) {
		t.Errorf("the page shows %q, want %q", got, want)
	}
}

func TestDelete_ResetEmptiesTheMetricAndNoOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	regs, v := f.vecs(t, 2)
	other := regs[0].NewCounterVec(shoal.CounterOpts{Name: "jobs_total_of_another_kind"}, []string{"kind"})
	other.WithLabelValues("a").Add(3)
	v[0].WithLabelValues("a", "1").Inc()
	v[1].WithLabelValues("b", "1").Inc()
	flush(t, regs...)
	v[0].Reset()
	v[0].WithLabelValues("c", "1").Add(7) // after it
	flush(t, regs[0])
	p := testkit.Scrape(t, regs[1])
	p.Want(t, `jobs_total_of_another_kind{kind="a"}`, "3", `jobs_total{code="1",kind="c"}`, "7")
	p.WantSamples(t, "jobs_total", 2)
	v[1].WithLabelValues("b", "1").Add(2)
	flush(t, regs[1])
	testkit.Scrape(t, regs[0]).Want(t, `jobs_total{code="1",kind="b"}`, "2")
}

// A deletion is one point in the order of Redis's commands, while other processes write. What
// Redis applied before it is gone, what it applies afterwards counts, and nothing counts twice.
func TestDelete_WhileOthersWrite(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	proxy := redistest.StartLossyProxy(t, redistest.Shared(t).Addr)
	deleter := f.behind(proxy).process(t) // the replies to its deletions are lost
	dv := deleter.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind", "code"})
	flush(t, deleter)
	regs, v := f.vecs(t, 2)
	stop := make(chan struct{})
	done := make(chan error, len(v))
	for i, vec := range v {
		go func() {
			kind := string(rune('a' + i))
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := vec.WithLabelValues(kind, "1").IncSync(testkit.Within(t)); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range 5 {
		proxy.Lose(redistest.Mentioning(1, "{"+f.app+"/jobs_total}:v", "$1\r\n-\r\n"))
		dv.DeletePartialMatch(shoal.Labels{"code": "1"})
		flush(t, deleter)
		proxy.Lose(redistest.Mentioning(1, "{"+f.app+"/jobs_total}:v", "$1\r\n*\r\n"))
		dv.Reset()
		flush(t, deleter)
		testkit.Scrape(t, deleter)
	}
	if proxy.Lost.Load() == 0 {
		t.Error("no answer was lost")
	}
	close(stop)
	testkit.Must(t, errors.Join(<-done, <-done))
	flush(t, regs...)
	before := testkit.Scrape(t, deleter)
	for i, vec := range v {
		vec.WithLabelValues(string(rune('a'+i)), "1").Add(1000)
	}
	flush(t, regs...)
	after := testkit.Scrape(t, deleter)
	for i := range v {
		series := fmt.Sprintf(`jobs_total{code="1",kind="%c"}`, 'a'+i)
		was, _ := before.Value(series)
		if is, _ := after.Value(series); is != was+1000 {
			t.Errorf("%s went from %v to %v, want 1000 more", series, was, is)
		}
	}
}
