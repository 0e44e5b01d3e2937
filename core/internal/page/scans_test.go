// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var errCut = errors.New("the scan was cut")

// cutAfter makes each scan end with an error after so many slices of 10 series. slices counts
// those that were read.
func (w *watched) cutAfter(t *testing.T, most int) (slices *int) {
	slices = new(int)
	w.scan = func(scans []*wire.Scan, room int) error {
		n := 0
		for _, scan := range scans {
			for ; !scan.Done && scan.Err == nil; n++ {
				if n == most {
					return errCut
				}
				if err := memstore.ScanSlice(t.Context(), w.Store, scan, &room, 10); err != nil {
					return err
				}
				*slices++
			}
		}
		return nil
	}
	return slices
}

// cut reads once, which must end with the cut.
func (f *fixture) cut() {
	f.t.Helper()
	if _, err := f.join(f.t.Context(), Request{}); !errors.Is(err, errCut) {
		f.t.Fatalf("the reading ends with %v", err)
	}
}

func scannedField(n int) string { return labels("n", fmt.Sprintf("%03d", n)) }

// cuttable has families of 40 series, each in four slices.
func cuttable(t *testing.T, names ...string) (*fixture, *watched) {
	f, w := logged(t)
	for _, name := range names {
		f.family(name, 1, counterDef(""))
		for n := range 40 {
			f.begin(name, scannedField(2*n), "1", 0)
		}
	}
	f.process("w", wire.Info{})
	return f, w
}

func TestScan_ThatWasCutGoesOnWithTheNextReading(t *testing.T) {
	f, w := cuttable(t, "a_total", "b_total")
	slices := w.cutAfter(t, 3)
	f.cut()
	f.cut()
	f.sameAsAScan("b_total")
	if *slices != 8 {
		t.Errorf("%d slices were read of 8", *slices)
	}
	if len(f.index.scans) > 0 {
		t.Errorf("scans that are done are kept: %v", f.index.scans)
	}
}

// A reading whose time ends in a scan leaves to the next one what it has scanned.
func TestScan_WhoseTimeEndsGoesOnWithTheNextReading(t *testing.T) {
	f, w := cuttable(t, "c_total")
	ctx, cancel := context.WithCancel(t.Context())
	slices := w.cutAfter(t, 100)
	goOn := w.scan
	w.scan = func(scans []*wire.Scan, room int) error {
		if err := memstore.ScanSlice(ctx, w.Store, scans[0], &room, 10); err != nil {
			return err
		}
		cancel()
		return ctx.Err()
	}
	if _, err := f.join(t.Context(), Request{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the reading ends with %v", err)
	}
	w.scan = goOn
	f.sameAsAScan("c_total")
	if *slices != 3 {
		t.Errorf("%d slices were read after the first, want 3", *slices)
	}
}

// Whatever happens while a scan is cut, the page that comes of it in the end is that of a reader
// that scans now, and so are the pages after it.
func TestScan_WhatHappensWhileItIsCutIsShown(t *testing.T) {
	early, late := scannedField(4), scannedField(70) // in the slice that is read before it is cut, and in one after it
	remove := func(f *fixture, field string) { f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field}) }
	anew := func(f *fixture) {
		f.seq["c_total"] = 0
		f.family("c_total", 1, counterDef(""))
		f.add("c_total", early, "5", scannedField(5), "6")
	}
	var before *memstore.Snapshot
	for name, happens := range map[string]func(*fixture){
		"values change": func(f *fixture) { f.add("c_total", early, "7", late, "7") },
		"series come":   func(f *fixture) { f.add("c_total", scannedField(5), "7", scannedField(71), "7") },
		"series go":     func(f *fixture) { remove(f, early); remove(f, late) },
		"series go, and come again": func(f *fixture) {
			remove(f, early)
			remove(f, late)
			f.add("c_total", early, "7", late, "7")
		},
		"starts move back": func(f *fixture) { f.begin("c_total", early, "1", -5); f.begin("c_total", late, "1", -5) },
		"most series change": func(f *fixture) {
			for n := range 60 {
				f.add("c_total", scannedField(2*n+1), "7")
			}
		},
		"all are cleared": func(f *fixture) {
			f.commit("c_total", wire.Op{Kind: wire.OpClear})
			f.add("c_total", scannedField(5), "7")
		},
		"two mean the same": func(f *fixture) { f.add("c_total", labels("x", "y", "n", "4"), "1", labels("n", "4", "x", "y"), "1") },
		"Redis steps back": func(f *fixture) {
			f.server.Restore(before)
			f.seq["c_total"]--
		},
		"Redis steps back and goes another way": func(f *fixture) {
			f.server.Restore(before)
			f.seq["c_total"]--
			f.add("c_total", scannedField(7), "7")
		},
		"a new generation begins": func(f *fixture) {
			f.server.LoseControl("shop", "c_total")
			f.server.LoseValues("shop", "c_total")
			anew(f)
		},
		"the values are lost": func(f *fixture) {
			f.server.LoseValues("shop", "c_total")
			anew(f)
		},
	} {
		for above, log := range map[int]string{0: "told", 1000: "not told"} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/cut again %v", name, log, again), func(t *testing.T) {
					f, w := cuttable(t, "c_total")
					before = f.server.Snapshot()
					f.add("c_total", scannedField(3), "1")
					f.server.LogChanges(above)
					w.cutAfter(t, 1)
					f.cut()
					happens(f)
					if again && len(f.index.scans) > 0 {
						if _, err := f.join(t.Context(), Request{}); err == nil {
							t.Skip("nothing was left to scan")
						}
						f.add("c_total", scannedField(1), "1")
					}
					w.scan = nil
					f.sameAsAScan("c_total")
					f.add("c_total", scannedField(9), "1")
					f.sameAsAScan("c_total")
				})
			}
		}
	}
}

// What a reader remembers of a family that has gone, it forgets.
func TestScan_OfAFamilyThatGoesMeanwhileIsForgotten(t *testing.T) {
	for name, goes := range map[string]func(*fixture){
		"its registration": func(f *fixture) { f.server.LoseControl("shop", "b_total") },
		"all of it": func(f *fixture) {
			f.server.LoseControl("shop", "b_total")
			f.server.LoseValues("shop", "b_total")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, w := cuttable(t, "a_total", "b_total")
			w.cutAfter(t, 6)
			f.cut()
			if f.index.scans["b_total"] == nil {
				t.Fatal("the scan is not kept")
			}
			goes(f)
			w.scan = nil
			f.shows("b_total")
			if len(f.index.scans) > 0 || f.index.families["b_total"] != nil {
				t.Errorf("remembered are %v and %v", f.index.scans, f.index.families["b_total"])
			}
			f.sameAsAScan("a_total")
		})
	}
}

// Where Redis does not tell its lineage, a scan that was cut is of what may be past.
func TestScan_ThatWasCutBeginsAnewWhereRedisHidesItsLineage(t *testing.T) {
	f, w := cuttable(t, "c_total")
	f.server.HideLineage(true)
	slices := w.cutAfter(t, 3)
	f.cut()
	w.cutAfter(t, 3)
	f.cut()
	if *slices != 3 || len(f.index.scans["c_total"].Series) != 30 {
		t.Errorf("%d slices, then %d series", *slices, len(f.index.scans["c_total"].Series))
	}
	w.scan = nil
	f.sameAsAScan("c_total")
}

// What was remembered of a family is not believed in another lineage, though the version is
// the same.
func TestIndex_IsDroppedWithTheLineage(t *testing.T) {
	f, w := cuttable(t, "c_total")
	f.sameAsAScan("c_total")
	f.server.Restore(f.server.Snapshot())
	w.calls = nil
	f.sameAsAScan("c_total")
	if len(w.calls) < 2 || w.calls[len(w.calls)-3] != "Scan" {
		t.Errorf("in another lineage a page calls %v", w.calls)
	}
}

// Where Redis does not tell the lineage, what took in changes is no younger for that.
func TestIndex_IsScannedAgainInTimeWhereRedisHidesItsLineage(t *testing.T) {
	f, _ := cuttable(t, "c_total")
	f.server.HideLineage(true)
	f.sameAsAScan("c_total")
	scanned := f.index.families["c_total"].scanned
	f.add("c_total", scannedField(1), "1")
	f.sameAsAScan("c_total")
	if at := f.index.families["c_total"].scanned; !at.Equal(scanned) {
		t.Errorf("scanned at %v, and after a change at %v", scanned, at)
	}
	f.index.families["c_total"].scanned = time.Now().Add(-2 * lease)
	f.sameAsAScan("c_total")
	if at := f.index.families["c_total"].scanned; time.Since(at) > lease {
		t.Error("it was not scanned again")
	}
}
