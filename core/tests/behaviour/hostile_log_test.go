// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// forgery would begin a new line in a log and control a terminal, and is long.
var forgery = "a\nlevel=ERROR msg=forged\r\x1b[2J\u2028\u202e\xff" + strings.Repeat("x", 3000)

// messages is a slog.Handler that collects messages unescaped; it collects errors too.
type messages struct {
	slog.Handler
	testkit.Heard
}

func (m *messages) Enabled(context.Context, slog.Level) bool { return true }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	m.Error(errors.New(r.Message))
	return nil
}

// want fails the test unless there are few messages, each one printable line.
func (m *messages) want(t *testing.T, most int) {
	t.Helper()
	all := m.Of()
	if n := len(all); n == 0 || n > most {
		t.Errorf("%d messages, want 1 to %d", n, most)
	}
	for i, text := range all[:min(len(all), 20)] {
		if len(text) > 2500 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("message %d of %d bytes: %.400q", i, len(text), text)
		}
	}
}

// Somebody who can write the app's keys fills them with texts that would forge lines of
// a log: names, types, values, leases, gauges of hundreds of metrics. Each process logs
// a few lines a minute of what its pages omit and what it replaces, and no stored text
// begins a line.
func TestHostileText_NeitherFloodsTheLogNorForgesIt(t *testing.T) {
	t.Parallel()
	const strangers, own, most = 400, 60, 8
	server := redistest.Start(t)
	f := fleetOn(t, server)
	written, read, heard := new(messages), new(messages), new(messages)
	writer, _ := f.mortal(t, func(o *shoal.Opts) { o.OnError, o.Logger = nil, slog.New(written) })
	var counters []*shoal.Counter
	for i := range 2 * own {
		c := writer.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("own_%d_total", i)})
		c.Inc()
		counters = append(counters, c)
	}
	writer.NewGauge(shoal.GaugeOpts{Name: "own_gauge"}).Set(1)
	flush(t, writer)

	ctx, app, family := testkit.Within(t), "shoal:1:{"+f.app+"}:", func(name string) string { return "shoal:1:{" + f.app + "/" + name + "}:" }
	pipe := f.redis.Pipeline()
	types := []string{"counter", "summary", "histogram", "gauge", "counter" + forgery}
	for i := range strangers {
		name := fmt.Sprintf("strange_%d", i)
		pipe.HSet(ctx, family(name)+"ctl", "gen", "g", "type", types[i%len(types)], "help", forgery, "mode", forgery, "bounds", forgery, "created", 1, "shape", forgery)
		pipe.HSet(ctx, family(name)+"v", "\xfe", "g", "", forgery, "a\xff"+forgery, "1", "a\xffb", forgery)
		pipe.ZAdd(ctx, app+"families", redis.Z{Score: 1, Member: name}, redis.Z{Score: 1, Member: fmt.Sprint(i, forgery)})
	}
	for i := range own { // keys that the writer replaces, and keys that it must not change
		pipe.HSet(ctx, family(fmt.Sprintf("own_%d_total", i))+"v", "", forgery)
		pipe.HSet(ctx, family(fmt.Sprintf("own_%d_total", own+i))+"ctl", "type", forgery)
	}
	for i := range 100 {
		pipe.HSet(ctx, app+"leases", fmt.Sprint("i:", 100+i), strings.ReplaceAll(forgery, "\xff", " "), "i:"+forgery, forgery)
	}
	for _, key := range f.gaugeKeys(t) {
		for i := range 100 {
			pipe.HSet(ctx, key, fmt.Sprint(i, forgery), forgery+" 99999999999999", fmt.Sprint(i, forgery, "\xff", forgery), "1 99999999999999")
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}

	reader := f.process(t, func(o *shoal.Opts) { o.OnError, o.Logger, o.ReadOnly = nil, slog.New(read), true })
	hearer := f.process(t, func(o *shoal.Opts) { o.OnError, o.ReadOnly = heard.Error, true })
	for range 4 {
		for _, c := range counters {
			c.Inc()
		}
		if err := writer.Flush(testkit.Within(t)); err != nil {
			heard.Error(err) // the errors of other types
		}
		for _, reg := range []*shoal.Registry{writer, reader, hearer} {
			if rec, _ := testkit.Get(reg, testkit.Patience); rec.Code != 200 {
				t.Errorf("the page answers %d: %.300q", rec.Code, rec.Body)
			} else if strings.Contains(rec.Body.String(), "\nlevel=ERROR") {
				t.Error("a stored text begins a line of the page")
			}
		}
	}
	written.want(t, most)
	read.want(t, most)
	heard.want(t, most+4)
}
