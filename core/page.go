// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// page is everything that was read of an app, ready to be encoded: families by
// name, the series of each by their labels. It is shared between scrapes and
// never changed.
type page struct {
	note     string // a comment for people, in the text format; empty for none
	families []*pageFamily
	encoded  encodings

	protoOnce sync.Once
	proto     []*dto.MetricFamily
}

// toProto returns the page as protobuf, made when first asked for: a scrape in
// the text format needs none.
func (p *page) toProto() []*dto.MetricFamily {
	p.protoOnce.Do(func() {
		p.proto = make([]*dto.MetricFamily, len(p.families))
		for i, f := range p.families {
			p.proto[i] = f.toProto()
		}
	})
	return p.proto
}

// knownFamily is what a reader remembers of a family between two readings: its
// series, ordered as the page shows them, so that a reading asks for their
// values by name and neither parses nor sorts labels again.
type knownFamily struct {
	seriesVersion string
	scanned       time.Time
	size          int        // what the series take of the bytes that are read for a page
	texts         int        // how many bytes their values had the last time
	text          int        // how long their labels are as text
	labels        *labelSets // of fields
	// joined says of each series whether it means the same labels as the next
	// one; nil if none does.
	joined []bool
}

// endedEvery is after how many series a page that is being made looks whether its time is
// over.
const endedEvery = 256

// learn orders the series of a family by their labels. What is no label set is
// omitted and reported. The error is that of the context.
func (r *reader) learn(ctx context.Context, name, seriesVersion string, stored []wire.Series) (*knownFamily, []wire.SeriesValue, error) {
	type entry struct {
		wire.Series
		labels []wire.Label
	}
	entries := make([]entry, 0, len(stored))
	k := &knownFamily{seriesVersion: seriesVersion, scanned: time.Now()}
	for i, s := range stored {
		if i%endedEvery == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		k.size += wire.Cost(s.Field, "")
		k.texts += len(s.Text)
		labels, err := pageLabels(s.Field)
		if err != nil {
			r.reg.corrupt(name, err)
			continue
		}
		k.text += labelLength(s.Field) + escapes(s.Field)
		entries = append(entries, entry{s, labels})
	}
	compared := 0
	slices.SortFunc(entries, func(a, b entry) int {
		if compared++; compared%endedEvery == 0 && ctx.Err() != nil || compared < 0 {
			compared = math.MinInt // the rest is no work any more
			return 0
		}
		return cmp.Or(compareLabels(a.labels, b.labels), cmp.Compare(a.Field, b.Field))
	})
	if compared < 0 {
		return nil, nil, ctx.Err()
	}
	k.labels = &labelSets{fields: make([]string, len(entries))}
	values := make([]wire.SeriesValue, len(entries))
	for i, e := range entries {
		k.labels.fields[i] = e.Field
		values[i] = wire.SeriesValue{Text: e.Text, Found: true}
		if i > 0 && compareLabels(entries[i-1].labels, e.labels) == 0 {
			if k.joined == nil {
				k.joined = make([]bool, len(entries))
			}
			k.joined[i-1] = true
		}
	}
	return k, values, nil
}

// sameAsNext says whether the series i means the same labels as the next one.
func (k *knownFamily) sameAsNext(i int) bool { return i < len(k.joined) && k.joined[i] }

// pageBuilder joins what was read to a page.
type pageBuilder struct {
	ctx    context.Context //nolint:containedctx // it lives for one page
	reg    *Registry
	leases []wire.Lease
	now    time.Time                // the store's
	gauges map[string]*gaugeSamples // by family
	rows   int                      // made so far
}

func newPageBuilder(ctx context.Context, reg *Registry, app wire.AppState) *pageBuilder {
	return &pageBuilder{ctx: ctx, reg: reg, leases: app.Leases, now: app.Now, gauges: map[string]*gaugeSamples{}}
}

// ended says now and then whether the page's time is over.
func (b *pageBuilder) ended() bool {
	b.rows++
	return b.rows%endedEvery == 0 && b.ctx.Err() != nil
}

// build renders the families. Where two of them would write samples of one
// name, the one that was registered first is shown. The error is that of the context.
func (b *pageBuilder) build(families []readFamily) (*page, error) {
	slices.SortFunc(families, func(x, y readFamily) int {
		return cmp.Or(cmp.Compare(x.state.Created, y.state.Created), cmp.Compare(x.name, y.name))
	})
	owners := map[string]string{}
	for _, f := range b.instances() {
		owners[f.name] = "shoal itself"
	}
	p := &page{families: b.instances()}
	large := b.tooLarge(families)
	for i, f := range families {
		if other := occupied(owners, f.name, f.state.Type); other != "" {
			b.reg.omitFamily(f.name, fmt.Errorf("%s, registered before it, writes samples of the same name: rename one of the two", other))
			continue
		}
		for _, name := range wire.OwnedNames(f.name, f.state.Type) {
			owners[name] = f.name
		}
		if large[i] {
			b.reg.omitFamily(f.name, errText)
			continue
		}
		if shown := b.family(&f); shown != nil && len(shown.numbers) > 0 {
			p.families = append(p.families, shown)
		}
	}
	slices.SortFunc(p.families, func(x, y *pageFamily) int { return cmp.Compare(x.name, y.name) })
	return p, b.ctx.Err()
}

func occupied(owners map[string]string, name, kind string) string {
	for _, owned := range wire.OwnedNames(name, kind) {
		if other := owners[owned]; other != "" {
			return other
		}
	}
	return ""
}

// family makes the rows of a family; nil if it has none.
func (b *pageBuilder) family(f *readFamily) *pageFamily {
	shown := &pageFamily{name: f.name, help: readable(f.state.Help), kind: f.state.Type}
	switch {
	case !f.state.Shared():
		b.addGaugeRows(shown, f.state.Mode)
	case f.known == nil:
		return nil
	case f.state.Latest():
		b.addLatestRows(shown, f)
	default:
		b.addVectorRows(shown, f)
	}
	return shown
}

// addVectorRows makes the rows of a family whose values are vectors.
func (b *pageBuilder) addVectorRows(shown *pageFamily, f *readFamily) {
	sum := vectorSum{kind: f.state.Type}
	if f.state.Type == wire.TypeHistogram {
		bounds, err := parseBounds(f.state.Bounds)
		if err != nil {
			b.reg.corrupt(f.name, err)
			return
		}
		shown.bounds, sum.bounds = bounds, bounds
		sum.uppers = append(slices.Clone(f.state.Bounds), "+Inf")
	}
	shown.numbers = make([]float64, 0, len(f.values)*shown.width())
	shown.labels = f.known.labels
	for i, v := range f.values {
		if b.ended() {
			return
		}
		if v.Found && f.shows(i) {
			if err := sum.add(v.Text); err != nil {
				b.reg.corrupt(f.name, err)
			}
		}
		// Other writers may have stored one label set in several ways: they
		// are neighbours, and summed.
		if f.known.sameAsNext(i) {
			continue
		}
		if sum.found {
			shown.numbers = sum.appendRow(shown.numbers)
			shown.addPlace(i)
		}
		sum.reset()
	}
}

// instances makes the families that name the living processes.
func (b *pageBuilder) instances() []*pageFamily {
	count := &pageFamily{
		name: "shoal_instances", kind: wire.TypeGauge,
		help:    "Processes of the app that are alive: they hold a lease.",
		labels:  &labelSets{decoded: make([][]wire.Label, 1)},
		numbers: []float64{float64(len(b.leases))},
	}
	if len(b.leases) == 0 {
		return []*pageFamily{count}
	}
	info := &pageFamily{
		name: "shoal_instance_info", kind: wire.TypeGauge, labels: &labelSets{},
		help: "Who the process with this gauge_index is; always 1.",
	}
	start := &pageFamily{
		name: "shoal_instance_start_time_seconds", kind: wire.TypeGauge, labels: &labelSets{},
		help: "When the process with this gauge_index started, in Unix time.",
	}
	for _, l := range b.leases {
		labels := []wire.Label{{Name: "gauge_index", Value: strconv.Itoa(l.Index)}}
		start.addLabelled(slices.Clone(labels), float64(l.Info.Started)/float64(time.Second/time.Microsecond))
		for _, extra := range []wire.Label{{Name: "host", Value: readable(l.Info.Host)}, {Name: "version", Value: readable(l.Info.Version)}} {
			if extra.Value != "" {
				labels = append(labels, extra)
			}
		}
		info.addLabelled(labels, 1)
	}
	return []*pageFamily{info, start, count}
}

// readable repairs a text that another process stored. One byte that is not
// UTF-8 would make Prometheus refuse the whole page.
func readable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
