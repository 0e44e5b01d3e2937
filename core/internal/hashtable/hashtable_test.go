// SPDX-License-Identifier: Apache-2.0

package hashtable

import "testing"

func hashOf(n *uint64) uint64 { return *n }

func find(t *Table[uint64], n uint64) bool {
	p := t.Probe(n)
	for {
		e := p.Next()
		if e == nil || *e == n && !t.Removed(e) {
			return e != nil
		}
	}
}

// Removed entries must not fill the table: a lookup of what is not there would never
// end.
func TestTable_ComingAndGoingLeavesRoom(t *testing.T) {
	var table Table[uint64]
	for i := range uint64(10_000) {
		table.Insert(&i, hashOf)
		if !find(&table, i) {
			t.Fatalf("%d is not found", i)
		}
		table.Remove(&i, i)
		if find(&table, i) {
			t.Fatalf("%d is found after it was removed", i)
		}
	}
	if n := len(*table.slots.Load()); n > 64 || table.Len() != 0 {
		t.Errorf("%d slots for %d entries", n, table.Len())
	}
}
