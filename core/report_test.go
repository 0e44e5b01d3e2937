// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestReport_EachKindOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		heard := new(troubles)
		err := errors.New("trouble")
		r.report("a", err) // before Connect: dropped, and the minute does not begin
		r.limiter.connect(heard.add, slog.Default())
		steps := []struct {
			kind string
			wait time.Duration
			want int
		}{
			{"a", 0, 1}, {"a", 0, 1}, {"b", 0, 2}, {"a", reportEvery - 1, 2}, {"a", 1, 3}, {"b", 0, 4}, {"b", 0, 4},
		}
		for i, s := range steps {
			time.Sleep(s.wait)
			r.report(s.kind, err)
			if n := heard.count("trouble"); n != s.want {
				t.Errorf("step %d: heard %d times, want %d", i, n, s.want)
			}
		}
	})
}

func TestReport_MayCallTheRegistryAgain(t *testing.T) {
	r := New()
	calls := 0
	r.limiter.connect(func(error) {
		calls++
		r.report("b", errors.New("from within"))
		r.NewCounter(CounterOpts{Name: "c_total"}).Add(-1)
	}, slog.Default())
	r.report("a", errors.New("trouble"))
	if calls != 3 { // a, b, and the rejected value
		t.Errorf("called %d times", calls)
	}
}

func TestReport_KindsTakeBoundedMemory(t *testing.T) {
	r := New()
	r.limiter.connect(func(error) {}, slog.Default())
	for i := range 3 * maxReportKinds {
		r.report(fmt.Sprint(i, strings.Repeat("x", 1<<20)), errors.New("trouble"))
	}
	size := 0
	for kind := range r.limiter.last {
		size += len(kind)
	}
	if n := len(r.limiter.last); n > maxReportKinds || size > maxReportKinds*maxKind {
		t.Errorf("%d kinds of %d bytes are remembered", n, size)
	}
}

// Kinds beyond those that are remembered share one, so that no number of kinds floods the
// log. Its report says how many were held back. Kinds whose minute is over make room.
func TestReport_FurtherKindsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		heard := new(troubles)
		r.limiter.connect(heard.add, slog.Default())
		cause := errors.New("trouble")
		minute := func(first, n int) (told int) {
			before := len(heard.all())
			for i := range n {
				r.report(fmt.Sprint("kind ", first+i), cause)
			}
			return len(heard.all()) - before
		}
		const further = 10_000
		if n := minute(0, maxReportKinds+further); n != maxReportKinds+1 {
			t.Errorf("%d reports of %d kinds", n, maxReportKinds+further)
		}
		if n := minute(0, maxReportKinds+further); n != 0 {
			t.Errorf("%d reports of the same within the minute", n)
		}
		time.Sleep(reportEvery)
		if n := minute(maxReportKinds, maxReportKinds); n != maxReportKinds {
			t.Errorf("%d reports of %d kinds that found room again", n, maxReportKinds)
		}
		minute(0, 1)
		last := heard.all()[len(heard.all())-1]
		if text := fmt.Sprint(2*further - 1 - maxReportKinds + maxReportKinds); !strings.Contains(last.Error(), text) || !errors.Is(last, cause) {
			t.Errorf("heard %q, want it to say that %s were held back", last, text)
		}
	})
}

// An error may contain what Redis stores, what a server answered, or the value of a panic.
// OnError and the log get it on one line, and a long one cut.
func TestReport_IsOnePrintableLine(t *testing.T) {
	evil := errors.New("a\nlevel=ERROR msg=forged\x1b[2J\u2028\xff" + strings.Repeat("x", 1<<20))
	var text bytes.Buffer
	heard := new(troubles)
	for _, onError := range []func(error){nil, heard.add} {
		r := New()
		r.limiter.connect(onError, slog.New(slog.NewJSONHandler(&text, nil)))
		r.report("kind", evil)
		r.scrapeFails(evil)
	}
	for _, err := range heard.all() {
		if s := err.Error(); len(s) > 2100 || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x1b\u2028") || !errors.Is(err, evil) {
			t.Errorf("heard %.100q of %d bytes", s, len(s))
		}
	}
	if n := len(heard.all()); n != 2 || text.Len() > 2*2400 || strings.Count(text.String(), "\n") != 2 {
		t.Errorf("heard %d, logged %.200q", n, text.String())
	}
}

// What pages find damaged again and again is reported once a minute. What a commit replaced
// is never found again, so it is reported later if it can't be reported now.
func TestReport_DamageIsOneLineOfEachSort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		heard := new(troubles)
		r.limiter.connect(heard.add, slog.Default())
		families := make([]*family, 2*maxNamed)
		for i := range families {
			families[i] = &family{def: definition{name: fmt.Sprintf("c%d_total", i)}}
		}
		pages := pageObserver{r}
		for range 3 {
			for _, f := range families {
				pages.OmittedValues(f.def.name+"\n", 1, errors.New("why"))
				pages.OmittedFamilies(f.def.name, 1, errors.New("why"))
				r.replaced(f, 2)
			}
			r.tellDamage(valuesOmitted, familiesOmitted, valuesReplaced)
			time.Sleep(reportEvery / 2)
		}
		want := []string{
			`omitted from the page: 20 ("c0_total\n", "c1_total\n"`, "omitted from the page: 20 (c0_total", "replaced: 40 (c0_total",
			`omitted from the page: 20 ("c0_total\n"`, "omitted from the page: 20 (c0_total", "replaced: 80 (c0_total",
		}
		all := heard.all()
		if len(all) != len(want) {
			t.Fatalf("heard %q", all)
		}
		for i, err := range all {
			if !strings.Contains(err.Error(), want[i]) || !strings.Contains(err.Error(), "c9_total") || !strings.Contains(err.Error(), "and others") {
				t.Errorf("heard %q, want %q", err, want[i])
			}
		}
	})
}

func TestReport_GoesToTheLoggerWithoutOnError(t *testing.T) {
	var text bytes.Buffer
	r := New()
	r.limiter.connect(nil, slog.New(slog.NewTextHandler(&text, nil)))
	c := r.NewCounter(CounterOpts{Name: "c_total"})
	c.Add(-1)
	if line := text.String(); !strings.Contains(line, "WARN") || !strings.Contains(line, "c_total") || !strings.Contains(line, reasonNegative) {
		t.Errorf("logged %q", line)
	}
}

// What is wrong with Redis as a whole is one kind, whatever failed by it. Its end is reported
// if it was itself. In an outage whose reason was reported, a lost connection is not.
func TestReport_AnOutageIsToldOnceAndSoIsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locked := memstore.RefusedError("NOAUTH Authentication required.")
		loading := memstore.RefusedError("LOADING Redis is loading the dataset in memory")
		damaged := memstore.RefusedError("WRONGTYPE Operation against a key")
		r := New()
		heard := new(troubles)
		r.limiter.connect(heard.add, slog.Default())
		steps := []struct {
			wait  time.Duration
			do    func()
			heard string // what is new, if anything is
		}{
			{0, func() { r.redisServes("flush") }, ""},
			{0, func() { r.redisFails("flush", io.EOF) }, "EOF"},
			{0, func() { r.redisFails("lease", io.EOF) }, ""},
			{0, func() { r.reportRedis("scrape", io.ErrUnexpectedEOF) }, ""},
			{0, func() { r.redisFails("flush", locked) }, "NOAUTH"},
			{0, func() { r.redisFails("lease", locked) }, ""},
			{reportEvery, func() { r.redisFails("lease", locked) }, "NOAUTH"},
			{0, func() { r.redisFails("lease", io.EOF) }, ""}, // the reason is known
			{5 * time.Second, func() { r.redisServes("lease") }, ""},
			{0, func() { r.redisServes("flush") }, "back after 1m5s"},
			{0, func() { r.redisServes("flush") }, ""},
			{0, func() { r.redisFails("flush", locked) }, ""}, // just reported, so its end
			{0, func() { r.redisServes("flush") }, ""},        // is not told either
			{0, func() { r.redisFails("flush", loading) }, "LOADING"},
			{0, func() { r.redisServes("flush") }, "back after 0s"},
			{0, func() { r.redisFails("flush", damaged) }, "WRONGTYPE"}, // of one family
			{0, func() { r.redisServes("flush") }, ""},
			{0, func() { r.redisFails("flush", errors.New("what a hook says")) }, ""}, // of the same kind
			{0, func() { r.redisFails("lease", errors.New("what a hook says")) }, "hook"},
		}
		for i, s := range steps {
			time.Sleep(s.wait)
			before := len(heard.all())
			s.do()
			news := heard.all()[before:]
			switch {
			case s.heard == "" && len(news) > 0, s.heard != "" && (len(news) != 1 || !strings.Contains(fmt.Sprint(news[0]), s.heard)):
				t.Errorf("step %d: heard %v, want %q", i, news, s.heard)
			}
		}
	})
}
