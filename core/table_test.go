// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func tableSeries(values ...string) *series {
	return &series{values: values, hash: hashValues(values)}
}

const noLimit = 1 << 30

func TestTable_FindsWhatWasPutThroughGrowthAndRemoval(t *testing.T) {
	var tab table
	held := map[string]*series{}
	for i := range 3000 {
		name := strconv.Itoa(i)
		s := tableSeries(name, "x")
		if got := tab.put(s, noLimit); got != s {
			t.Fatalf("put %s returned another series", name)
		}
		held[name] = s
		if i%3 == 0 { // so that removed slots are cleaned up while growing
			gone := strconv.Itoa(i / 2)
			if want := held[gone]; tab.remove(hashValues([]string{gone, "x"}), []string{gone, "x"}) != want {
				t.Fatalf("remove %s returned another series", gone)
			}
			delete(held, gone)
		}
	}
	for i := range 3000 {
		name := strconv.Itoa(i)
		values := []string{name, "x"}
		if got := tab.get(hashValues(values), values); got != held[name] {
			t.Fatalf("get %s: %p, want %p", name, got, held[name])
		}
	}
	n := 0
	tab.series.Each(func(s *series) {
		if held[s.values[0]] != s {
			t.Errorf("each shows %q, which was removed", s.values)
		}
		n++
	})
	if n != len(held) || tab.series.Len() != n {
		t.Errorf("each shows %d series, Len says %d, want %d", n, tab.series.Len(), len(held))
	}
}

func TestTable_KeepsTheFirstAndTheLimit(t *testing.T) {
	var tab table
	a, again, b := tableSeries("a"), tableSeries("a"), tableSeries("b")
	if tab.put(a, 1) != a || tab.put(again, 1) != a {
		t.Error("the second series of the same values took the first one's place")
	}
	if tab.put(b, 1) != nil {
		t.Error("a series beyond the limit was entered")
	}
	tab.remove(a.hash, a.values)
	if tab.remove(a.hash, a.values) != nil {
		t.Error("a series was removed twice")
	}
	if tab.put(b, 1) != b {
		t.Error("a removed series still counts against the limit")
	}
	tab.replace(again)
	tab.replace(a)
	if tab.get(a.hash, a.values) != a {
		t.Error("replace kept the old series")
	}
}

func TestTable_TellsOrderAndBoundariesOfValuesApart(t *testing.T) {
	sets := [][]string{{"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {"a", "b", ""}, {"ab"}, {}}
	var tab table
	for _, values := range sets {
		tab.put(tableSeries(values...), noLimit)
	}
	if n := tab.series.Len(); n != len(sets) {
		t.Errorf("%d series, want %d", n, len(sets))
	}
}

func TestTable_EqualHashesAreToldApartByTheirValues(t *testing.T) {
	var tab table
	list := make([]*series, 5)
	for i := range list {
		list[i] = &series{values: []string{strconv.Itoa(i)}, hash: 42}
		tab.put(list[i], noLimit)
	}
	tab.remove(42, list[1].values)
	for i, s := range list {
		if got := tab.get(42, s.values); (got == s) != (i != 1) {
			t.Errorf("get %d: %p", i, got)
		}
	}
}

func TestTable_LookupsNeedNoLockWhileItGrowsAndShrinks(t *testing.T) {
	var tab table
	stays := tableSeries("stays")
	tab.put(stays, noLimit)
	tab.mu.Lock() // a reader that took the lock would hang here
	if tab.get(stays.hash, stays.values) != stays {
		t.Error("not found")
	}
	tab.mu.Unlock()

	var done atomic.Bool
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				if tab.get(stays.hash, stays.values) != stays {
					t.Error("a series was out of sight while the table changed")
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			for i := range 3000 {
				s := tableSeries(strconv.Itoa(w), strconv.Itoa(i))
				tab.put(s, noLimit)
				if i%2 == 0 {
					tab.remove(s.hash, s.values)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	if n := tab.series.Len(); n != 1+2*1500 {
		t.Errorf("%d series, want %d", n, 1+2*1500)
	}
}
