// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReport_EachKindOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		heard := new(troubles)
		err := errors.New("trouble")
		r.report("a", err) // nobody is there to hear it, and it counts for nothing
		r.quiet.connect(heard.add, slog.Default())
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
	r.quiet.connect(func(error) {
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
	r.quiet.connect(func(error) {}, slog.Default())
	for i := range 3 * maxReportKinds {
		r.report(fmt.Sprint(i), errors.New("trouble"))
	}
	if n := len(r.quiet.last); n > maxReportKinds {
		t.Errorf("%d kinds are remembered", n)
	}
}

func TestReport_GoesToTheLoggerWithoutOnError(t *testing.T) {
	var text bytes.Buffer
	r := New()
	r.quiet.connect(nil, slog.New(slog.NewTextHandler(&text, nil)))
	c := r.NewCounter(CounterOpts{Name: "c_total"})
	c.Add(-1)
	if line := text.String(); !strings.Contains(line, "WARN") || !strings.Contains(line, "c_total") || !strings.Contains(line, reasonNegative) {
		t.Errorf("logged %q", line)
	}
}
