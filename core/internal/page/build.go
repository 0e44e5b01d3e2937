// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// render makes the page of what was read. The error is that of the context.
func (b *builder) render(own []ownMetric, head wire.Head, families []storedFamily) (*Page, error) {
	b.own, b.listed = own, map[string]bool{}
	for i, state := range head.States {
		if name := head.App.Families[i]; strings.HasPrefix(name, wire.SelfPrefix) {
			b.listed[name] = errors.Is(state.Err, wire.ErrUnregistered)
		}
	}
	for i, reply := range head.Gauges {
		b.addGauges(head.App.Leases[i], reply)
	}
	return b.build(families)
}

// builder is a page that is being made.
type builder struct {
	ctx      context.Context // it lives for one page
	observer Observer
	own      []ownMetric
	listed   map[string]bool // shoal's own metrics that Redis lists, and whether they are unregistered
	app      wire.AppState
	gauges   map[string]*gaugeSamples // by family
	read     []int                    // the indexes of the processes whose gauges were read
	rows     int                      // made so far
	narrow   bool                     // of the families and gauges, only those of this process were read
	label    int                      // bytes of a label that each line of a shared family may get
}

func newBuilder(ctx context.Context, observer Observer, app wire.AppState) *builder {
	return &builder{ctx: ctx, observer: observer, app: app, gauges: map[string]*gaugeSamples{}}
}

// ended says whether the page's time is over, and looks once in endedEvery calls.
func (b *builder) ended() bool {
	b.rows++
	return b.rows%endedEvery == 0 && b.ctx.Err() != nil
}

// build renders the families. Where two of them would write samples of one
// name, the one that was registered first is shown. The error is that of the context.
func (b *builder) build(families []storedFamily) (*Page, error) {
	slices.SortFunc(families, func(x, y storedFamily) int {
		return cmp.Or(cmp.Compare(x.state.Created, y.state.Created), cmp.Compare(x.name, y.name))
	})
	p := &Page{families: b.instances()}
	owners, names := map[string]string{}, map[string]bool{}
	for _, f := range p.families {
		owners[f.name] = "shoal itself"
	}
	for _, f := range families {
		names[f.name] = true
	}
	large, room := b.tooLarge(families)
	created := 0 // bytes of the lines that tell when series began
	for i, f := range families {
		if other := occupied(owners, f.name, f.state.Type); other != "" {
			b.observer.OmittedFamilies(f.name, 1, fmt.Errorf("%s, registered before it, writes samples of the same name: rename one of the two", other))
			continue
		}
		for _, name := range wire.OwnedNames(f.name, f.state.Type) {
			owners[name] = f.name
		}
		if large[i] {
			b.observer.OmittedFamilies(f.name, 1, errText)
			continue
		}
		shown := b.family(&f)
		if shown != nil {
			b.addZeros(shown, &f)
		}
		if shown != nil && len(shown.numbers) > 0 {
			shown.shareNames(names)
			p.families = append(p.families, shown)
			if f.series != nil {
				created = addBounded(created, shown.createdBound(addBounded(f.series.labelText, mulBounded(shown.len(), b.label))))
			}
		}
	}
	b.addAbsent(p, owners)
	p.noRoom = created > room
	slices.SortFunc(p.families, func(x, y *shownFamily) int { return cmp.Compare(x.name, y.name) })
	return p, b.ctx.Err()
}

// occupied says which family writes samples of a name that this one would write too.
func occupied(owners map[string]string, name, kind string) string {
	for _, owned := range wire.OwnedNames(name, kind) {
		if other := owners[owned]; other != "" {
			return other
		}
	}
	return ""
}

// family makes the rows of a family; nil if it has none.
func (b *builder) family(f *storedFamily) *shownFamily {
	shown := &shownFamily{name: f.name, help: readable(f.state.Help), kind: f.state.Type}
	switch {
	case !f.state.Shared():
		b.addGaugeRows(shown, f.state.Mode)
	case f.series == nil:
		return nil
	case f.state.Latest():
		b.addLatestRows(shown, f)
	default:
		b.addVectorRows(shown, f)
	}
	return shown
}

// instances makes the families that name the living processes.
func (b *builder) instances() []*shownFamily {
	count := &shownFamily{
		name: "shoal_instances", kind: wire.TypeGauge,
		help:    "Processes of the app that are alive: they hold a lease.",
		labels:  &labelSets{decoded: make([][]wire.Label, 1)},
		numbers: []float64{float64(len(b.app.Leases))},
	}
	if len(b.app.Leases) == 0 {
		return []*shownFamily{count}
	}
	info := &shownFamily{
		name: "shoal_instance_info", kind: wire.TypeGauge, labels: &labelSets{}, perProcess: true,
		help: "Who the process with this gauge_index is; always 1.",
	}
	start := &shownFamily{
		name: "shoal_instance_start_time_seconds", kind: wire.TypeGauge, labels: &labelSets{}, perProcess: true,
		help: "When the process with this gauge_index started, in Unix time.",
	}
	for _, l := range b.app.Leases {
		labels := []wire.Label{{Name: indexLabel, Value: strconv.Itoa(l.Index)}}
		start.addLabelled(slices.Clone(labels), float64(l.Info.Started)/float64(time.Second/time.Microsecond))
		for _, extra := range []wire.Label{{Name: "host", Value: readable(l.Info.Host)}, {Name: "version", Value: readable(l.Info.Version)}} {
			if extra.Value != "" {
				labels = append(labels, extra)
			}
		}
		info.addLabelled(labels, 1)
	}
	return []*shownFamily{info, start, count}
}

// readable repairs a text that another process stored. One byte that is not
// UTF-8 would make Prometheus refuse the whole page.
func readable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
