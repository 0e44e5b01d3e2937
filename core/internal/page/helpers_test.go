// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const lease = 15 * time.Second

// counts is an observer that counts.
type counts struct {
	values, families map[string]int // omitted, by name
	unconfirmed      []error
	readings         int
	hasty            int
	failed           []error
}

func newCounts() *counts { return &counts{values: map[string]int{}, families: map[string]int{}} }

func (c *counts) OmittedValues(name string, n int, _ error)   { c.values[name] += n }
func (c *counts) OmittedFamilies(name string, n int, _ error) { c.families[name] += n }
func (c *counts) Unconfirmed(err error)                       { c.unconfirmed = append(c.unconfirmed, err) }
func (c *counts) ReadingEnded(time.Duration)                  { c.readings++ }
func (c *counts) ScrapesFailed(hasty int, err error) {
	c.hasty += hasty
	c.failed = append(c.failed, err)
}

// fixture is an app that is written by the protocol alone, as a process in another
// language could, and a reader of it.
type fixture struct {
	*Reader
	*counts
	t      *testing.T
	server *memstore.Server
	seq    map[string]uint64
	gen    map[string]string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{counts: newCounts(), t: t, server: memstore.New(), seq: map[string]uint64{}, gen: map[string]string{}}
	f.Reader = New(f.server.Store("shop"), Config{
		App: "shop", LeaseDuration: lease, Grace: lease / 2, ScrapeTimeout: 5 * time.Second,
	}, f.counts)
	t.Cleanup(func() {
		f.Stop(context.Canceled)
		f.Wait()
	})
	return f
}

// family registers a family on behalf of a writer whose process started at born.
func (f *fixture) family(name string, born int64, d wire.Definition) {
	f.t.Helper()
	r := f.store.Register(f.t.Context(), []wire.Registration{{
		Family: name, Writer: "w", Nonce: "new-" + name, Born: born, Definition: d,
	}})[0]
	if r.Err != nil || r.Clash != "" {
		f.t.Fatalf("registering %s: %+v", name, r)
	}
	f.gen[name] = r.Generation
}

// add adds texts to fields: each pair is a field and a text.
func (f *fixture) add(name string, pairs ...string) {
	f.t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		f.commit(name, wire.Op{Kind: wire.OpAdd, Field: pair[0], Value: pair[1]})
	}
}

func (f *fixture) commit(name string, op wire.Op) {
	f.t.Helper()
	f.seq[name]++
	r := f.store.Commit(f.t.Context(), []wire.Commit{{
		Family: name, Generation: f.gen[name], Writer: "w", Prev: f.seq[name] - 1, Seq: f.seq[name], Ops: []wire.Op{op},
	}})[0]
	if r.Status != wire.CommitOK {
		f.t.Fatalf("%s %+v: %+v", name, op, r)
	}
}

// process takes an index for a writer and writes its gauges.
func (f *fixture) process(writer string, info wire.Info, ops ...wire.GaugeOp) {
	f.t.Helper()
	held, err := f.store.Hold(f.t.Context(), wire.HoldRequest{
		Writer: writer, Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: time.Hour, Info: info,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	write := wire.GaugeWrite{Writer: writer, Index: held.Index, Version: 1, Full: true, Ops: ops}
	if reply := f.store.WriteGauges(f.t.Context(), []wire.GaugeWrite{write})[0]; reply.Status != wire.GaugesOK {
		f.t.Fatalf("writing gauges: %v", reply)
	}
}

func gaugeText(family, field, text string) wire.GaugeOp {
	return wire.GaugeOp{Field: wire.GaugeField(family, field), Value: text, Expire: time.Hour}
}

// page reads a page.
func (f *fixture) page() *Page {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	p, err := f.Read(ctx, Request{})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// shows fails the test unless the page's lines with this prefix are these samples, in
// the text format.
func (f *fixture) shows(prefix string, samples ...string) {
	f.t.Helper()
	var got []string
	for line := range strings.Lines(text(f.t, f.page())) {
		if strings.HasPrefix(line, prefix) {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if !slices.Equal(got, samples) {
		f.t.Errorf("of %s the page shows\n%s\nwant\n%s", prefix, strings.Join(got, "\n"), strings.Join(samples, "\n"))
	}
}

func text(t *testing.T, p *Page) string {
	t.Helper()
	body, err := p.Encode(Encoding{Format: expfmt.TypeTextPlain})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// labels returns the field of pairs of names and values, in the order given.
func labels(pairs ...string) string { return strings.Join(pairs, wire.Separator) }

func counterDef(help string) wire.Definition {
	return wire.Definition{Type: wire.TypeCounter, Help: help}
}

func gaugeDef(mode string) wire.Definition {
	return wire.Definition{Type: wire.TypeGauge, Mode: mode, Help: "Gauge."}
}

func histogramDef(bounds ...string) wire.Definition {
	return wire.Definition{Type: wire.TypeHistogram, Bounds: bounds}
}
