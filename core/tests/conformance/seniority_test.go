// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestSeniority_WhereRedisIsFullCandidatesGo(t *testing.T) {
	client := redistest.Start(t).Client(t)
	f := newFixture(t, RedisTarget(client))
	f.candidate("a", wire.NoIndex, long)
	f.candidate("b", wire.NoIndex, short)
	f.lapsed("b")
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	f.release("a", 0)
	f.housekeep(0)
	if head := f.head(); len(head.Leases)+len(head.Expired) > 0 || head.Left.IsZero() {
		t.Errorf("left are %+v", head)
	}
}
