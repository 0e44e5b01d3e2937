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

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestReport_EachKindOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		heard := new(troubles)
		err := errors.New("trouble")
		r.report("a", err) // nobody is there to hear it, and it counts for nothing
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
		r.report(fmt.Sprint(i), errors.New("trouble"))
	}
	if n := len(r.limiter.last); n > maxReportKinds {
		t.Errorf("%d kinds are remembered", n)
	}
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

// What is wrong with Redis as a whole is one kind for all parts, its end is told
// if it was, and silence is not told beside the reason of the same outage.
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
