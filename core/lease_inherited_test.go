// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// workers stands for package prefork: it keeps the leases of processes, and leaves one to the next.
func workers(t *testing.T) (left *bridge.Lease, told func() bridge.Lease) {
	predecessor, leased := bridge.Predecessor, bridge.Leased
	t.Cleanup(func() { bridge.Predecessor, bridge.Leased = predecessor, leased })
	left, leases := &bridge.Lease{}, make(chan bridge.Lease, 8)
	bridge.Predecessor = func(string) (int, string) { return left.Index, left.Writer }
	bridge.Leased = func(l bridge.Lease) { leases <- l }
	return left, func() bridge.Lease {
		select {
		case l := <-leases:
			return l
		case <-t.Context().Done():
			return bridge.Lease{}
		}
	}
}

func TestLease_ASuccessorTakesTheIndexOfItsDeadPredecessorAtOnce(t *testing.T) {
	server := memstore.New()
	left, told := workers(t)
	start := func(opts Opts) bridge.Lease {
		t.Helper()
		reg := New()
		opts.App = "shop"
		if err := reg.connect(opts, server.Store, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reg.Close(context.Background()) })
		return told()
	}
	first, second := start(Opts{}), start(Opts{})
	if first.App != "shop" || first.Index != 0 || second.Index != 1 || first.Writer == second.Writer {
		t.Errorf("the leases are %+v and %+v", first, second)
	}
	*left = first
	if heir := start(Opts{}); heir.Index != first.Index || heir.Writer == first.Writer {
		t.Errorf("the successor of %+v got %+v", first, heir)
	}
	if heir := start(Opts{}); heir.Index != 2 { // another process has it now
		t.Errorf("a second successor of %+v got %+v", first, heir)
	}
	nine := 9
	*left = second
	if heir := start(Opts{Index: &nine}); heir.Index != nine {
		t.Errorf("with Opts.Index it got %+v", heir)
	}
}
