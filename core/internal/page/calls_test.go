// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func (w *watched) ReadHead(ctx context.Context, last wire.Expected) (wire.Head, error) {
	w.calls = append(w.calls, "ReadHead")
	return w.Store.ReadHead(ctx, last)
}

func (w *watched) ReadFamilies(ctx context.Context, names []string) ([]wire.FamilyState, error) {
	w.calls = append(w.calls, "ReadFamilies")
	return w.Store.ReadFamilies(ctx, names)
}

func (w *watched) ReadChanges(ctx context.Context, queries []wire.ChangesQuery) ([]wire.ChangesReply, error) {
	w.calls = append(w.calls, "ReadChanges")
	return w.Store.ReadChanges(ctx, queries)
}

func (w *watched) Scan(ctx context.Context, scans []*wire.Scan, room int) error {
	w.calls = append(w.calls, "Scan")
	if w.scan != nil {
		return w.scan(scans, room)
	}
	return w.Store.Scan(ctx, scans, room)
}

func (w *watched) ReadStarts(ctx context.Context, queries []wire.StartsQuery) ([][]int64, error) {
	w.calls = append(w.calls, "ReadStarts")
	return w.Store.ReadStarts(ctx, queries)
}

func (w *watched) ReadSeries(ctx context.Context, queries []wire.SeriesQuery, room int) ([]wire.SeriesReply, string, error) {
	w.calls = append(w.calls, "ReadSeries")
	return w.Store.ReadSeries(ctx, queries, room)
}

// Each call takes as many round trips for many families as for one, so a page has few calls.
func TestPage_AsksForNoMoreThanItLacks(t *testing.T) {
	f, w := logged(t)
	names := []string{"a_total", "b_total", "c_total"}
	for _, name := range names {
		f.family(name, 1, counterDef(""))
		for _, n := range []string{"1", "2", "3"} {
			f.add(name, labels("n", n), "1")
		}
	}
	f.process("w", wire.Info{})
	add := func(names ...string) {
		for _, name := range names {
			f.add(name, labels("n", "of "+time.Now().String()), "1")
		}
	}
	for _, tt := range []struct {
		when  string
		do    func()
		calls []string
	}{
		{"all is new", func() {}, []string{"ReadHead", "Scan", "ReadStarts", "ReadSeries"}},
		{"all is known", func() {}, []string{"ReadHead"}},
		{"values have changed", func() { f.add("a_total", labels("n", "1"), "1") }, []string{"ReadHead"}},
		{"series came", func() { add("a_total", "b_total") }, []string{"ReadHead", "ReadChanges", "ReadStarts", "ReadSeries"}},
		{"all is known again", func() {}, []string{"ReadHead"}},
		{"the log does not tell", func() {
			f.server.LogChanges(1000)
			add(names...)
		}, []string{"ReadHead", "ReadChanges", "Scan", "ReadStarts", "ReadSeries"}},
		{"all is known once more", func() {}, []string{"ReadHead"}},
		{"a family came", func() {
			f.family("d_total", 1, counterDef(""))
			add("d_total")
		}, []string{"ReadHead", "Scan", "ReadStarts", "ReadSeries"}},
		{"a family went", func() {
			f.server.LoseControl("shop", "d_total")
			f.server.LoseValues("shop", "d_total")
		}, []string{"ReadHead"}},
	} {
		tt.do()
		w.calls = nil
		f.page()
		if !slices.Equal(w.calls, tt.calls) {
			t.Errorf("when %s, a page calls %v, want %v", tt.when, w.calls, tt.calls)
		}
	}
}
