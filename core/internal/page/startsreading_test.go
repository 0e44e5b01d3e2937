// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestStarts_ThatCanNotBeReadAreOmittedAndNoMore(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.family("lost_total", 1, counterDef(""))
	f.add("c_total", "", "1")
	f.add("lost_total", "", "2")
	f.server.LoseMarks("shop", "lost_total")
	f.wantRows("c_total", map[string]row{"": {1, 0}})
	f.wantRows("lost_total", map[string]row{"": {2, -1}})
	if len(f.values) > 0 {
		t.Errorf("omitted are %v", f.values)
	}

	refuse := func(err error) {
		f.add("c_total", labels("n", fmt.Sprint(f.seq["c_total"])), "1") // so that it is scanned
		f.server.Fail(func(op string) error {
			if op == memstore.OpReadStarts {
				return err
			}
			return nil
		})
	}
	refuse(memstore.RefusedError("ERR no such command"))
	f.wantRows("c_total", map[string]row{"": {1, -1}, "n=1": {1, -1}})
	if f.values["when series began"] != 1 {
		t.Errorf("omitted are %v", f.values)
	}
	// Redis as a whole is in trouble.
	refuse(memstore.RefusedError("LOADING Redis is loading the dataset in memory"))
	if _, err := f.Read(t.Context(), Request{}); err == nil || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("the reading ends with %v", err)
	}
	gone := errors.New("the connection broke")
	refuse(&brokenError{gone})
	if _, err := f.Read(t.Context(), Request{}); !errors.Is(err, gone) {
		t.Errorf("the reading ends with %v", err)
	}
}

// brokenError is an error of the network.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }
func (*brokenError) Timeout() bool   { return true }
func (*brokenError) Temporary() bool { return false }

// Of series that the reader knows, a page asks only for the values.
func TestStarts_AreReadOnlyWithAScan(t *testing.T) {
	f := clocked(t)
	for _, name := range []string{"a_total", "b_total", "c_total"} {
		f.family(name, 1, counterDef(""))
		f.add(name, "", "1")
	}
	f.family("empty_total", 1, counterDef(""))
	var reads int
	f.server.Fail(func(op string) error {
		if op == memstore.OpReadStarts {
			reads++
		}
		return nil
	})
	f.page()
	if reads != 1 {
		t.Errorf("%d calls for the starts of three families, want 1", reads)
	}
	f.add("a_total", "", "1")
	f.page()
	if reads != 1 {
		t.Error("the starts of known series were read again")
	}
	f.add("a_total", labels("n", "a"), "1")
	f.page()
	if reads != 2 {
		t.Errorf("%d calls after a series was added, want 2", reads)
	}
}

// A start moves back when a process turns out to have held the series earlier.
func TestStarts_ThatMoveBackAreReadAgain(t *testing.T) {
	f := clocked(t)
	f.family("c_total", 1, counterDef(""))
	f.setClock(9)
	f.begin("c_total", "", "1", 8)
	f.wantRows("c_total", map[string]row{"": {1, 8}})
	f.begin("c_total", "", "1", 5)
	f.wantRows("c_total", map[string]row{"": {2, 5}})
}

// When a series of which the log of changes tells began is not what the reader knew before.
func TestStarts_OfChangedSeriesThatCanNotBeReadAreOmitted(t *testing.T) {
	f := clocked(t)
	f.server.LogChanges(0)
	f.family("c_total", 1, counterDef(""))
	f.setClock(9)
	f.begin("c_total", "", "1", 8)
	f.begin("c_total", labels("n", "a"), "1", 8)
	f.wantRows("c_total", map[string]row{"": {1, 8}, "n=a": {1, 8}})
	f.begin("c_total", "", "1", 5)
	f.server.Fail(func(op string) error {
		if op == memstore.OpReadStarts {
			return memstore.RefusedError("ERR no such command")
		}
		return nil
	})
	f.wantRows("c_total", map[string]row{"": {2, -1}, "n=a": {1, 8}})
}

// Something happens between two steps of a reading. Whatever it is and whenever it comes,
// no page shows a start that is later than that of the value beside it, and the next page
// shows the start that is stored.
func TestStarts_BelongToTheValuesBesideThem(t *testing.T) {
	const a, old, young = "n=a", 7, 100 // the series, and its values before and after
	field := labels("n", "a")
	remove := func(f *fixture) { f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field}) }
	add := func(f *fixture) {
		f.commit("c_total", wire.Op{Kind: wire.OpAdd, Field: field, Value: fmt.Sprint(young)})
	}
	for name, happens := range map[string]func(*fixture){
		"deleted and begun anew": func(f *fixture) { remove(f); add(f) },
		"cleared and begun anew": func(f *fixture) { f.commit("c_total", wire.Op{Kind: wire.OpClear}); add(f) },
		"deleted":                remove,
		"wiped and begun anew": func(f *fixture) {
			f.server.Wipe()
			f.seq["c_total"] = 0
			f.family("c_total", 1, counterDef(""))
			add(f)
		},
		"another one begins": func(f *fixture) { f.begin("c_total", labels("n", "b"), "1", 1) },
		"held earlier":       func(f *fixture) { f.begin("c_total", field, "0", 3) },
	} {
		for _, known := range []bool{false, true} {
			for _, when := range []string{"before", "after"} {
				for at, reached := 1, true; reached; at++ {
					t.Run(fmt.Sprintf("%s/known %v/%s step %d", name, known, when, at), func(t *testing.T) {
						f, clock := clocked(t), int64(0)
						f.server.SetClock(func() time.Time { clock++; return time.UnixMicro(epoch + clock) })
						f.family("c_total", 1, counterDef(""))
						f.begin("c_total", field, fmt.Sprint(old), 10)
						began := f.stored(field)
						if known {
							f.page()
						}
						var before *memstore.Snapshot
						steps, happened := 0, int64(0)
						hook := func(string) error {
							if steps++; steps == at {
								f.server.Fail(nil)
								f.server.LoseReply(nil)
								before, happened = f.server.Snapshot(), clock
								happens(f)
							}
							return nil
						}
						if when == "before" {
							f.server.Fail(hook)
						} else {
							f.server.LoseReply(hook)
						}
						first := f.rows("c_total")[a]
						f.server.Fail(nil)
						f.server.LoseReply(nil)
						if reached = before != nil; !reached {
							return
						}
						if first.value == old && first.start > happened || first.start > clock {
							t.Errorf("of the series that began at %d the page shows %v", began, first)
						}
						want := f.stored(field)
						if r, there := f.rows("c_total")[a]; there == (name == "deleted") || there && r.start != want {
							t.Errorf("the next page shows %v, %v; want the start %d", there, r, want)
						}
						f.server.Restore(before)
						if r := f.rows("c_total")[a]; r != (row{old, began}) {
							t.Errorf("after a step back the page shows %v, want the start %d", r, began)
						}
					})
				}
			}
		}
	}
}

// A page remembers starts under the seriesVersion that they belong to: Redis may return to it.
func TestStarts_AreRememberedOnlyOfTheSeriesVersionThatWasScanned(t *testing.T) {
	field := labels("n", "a")
	for at, reached := 1, true; reached; at++ {
		f, clock := clocked(t), int64(0)
		f.server.SetClock(func() time.Time { clock++; return time.UnixMicro(epoch + clock) })
		f.family("c_total", 1, counterDef(""))
		f.begin("c_total", field, "7", 10)
		began := f.stored(field)
		var before *memstore.Snapshot
		steps := 0
		f.server.Fail(func(string) error {
			if steps++; steps == at {
				f.server.Fail(nil)
				before = f.server.Snapshot()
				f.commit("c_total", wire.Op{Kind: wire.OpDelete, Field: field})
				f.begin("c_total", field, "100", clock)
			}
			return nil
		})
		f.page()
		f.server.Fail(nil)
		if reached = before != nil; !reached {
			return
		}
		f.server.Restore(before)
		if r := f.rows("c_total")["n=a"]; r != (row{7, began}) {
			t.Errorf("step %d: after a step back the page shows %v, want the start %d", at, r, began)
		}
	}
}
