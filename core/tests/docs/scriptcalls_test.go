// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"
	"crypto/sha1" // Redis names scripts by their SHA-1.
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// recorded is a hook that records the calls of scripts, with their keys and arguments.
type recorded struct {
	names map[string]string // of the scripts, by their SHA-1
	calls map[string][]scriptCall
}

type scriptCall struct {
	keys int
	args []string
}

func (h *recorded) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *recorded) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *recorded) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			words := make([]string, len(cmd.Args()))
			for i, arg := range cmd.Args() {
				if text, ok := arg.(*string); ok {
					arg = *text
				}
				words[i] = fmt.Sprint(arg)
			}
			if words[0] == "evalsha" {
				n, _ := strconv.Atoi(words[2])
				name := h.names[words[1]]
				h.calls[name] = append(h.calls[name], scriptCall{n, words[3+n:]})
			}
		}
		return next(ctx, cmds)
	}
}

// given are the values of a call's arguments, by their names in docs/protocol.md.
type given map[string][]string

func TestProtocol_CallsPassTheArgumentsOfTheTableAndStoreItsFields(t *testing.T) {
	table := scriptTable(t)
	server := redistest.Start(t)
	admin, client := server.Client(t), server.Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	hook := &recorded{names: map[string]string{}, calls: map[string][]scriptCall{}}
	for name, source := range scripts(t) {
		sum := sha1.Sum([]byte(sent(t, source)))
		hook.names[hex.EncodeToString(sum[:])] = name
	}
	client.AddHook(hook)
	store := wire.NewRedis(client, "shop")

	// Families for housekeeping: one is listed but has no keys, one was written long ago.
	housekeep := func() error {
		_, err := store.Housekeep(ctx, 48*time.Hour, 10*time.Minute)
		return err
	}
	for _, err := range []error{
		admin.ZAdd(ctx, "shoal:1:{shop}:families", redis.Z{Score: 1, Member: "gone"}, redis.Z{Score: 2, Member: "old"}).Err(),
		admin.HSet(ctx, "shoal:1:{shop/old}:ctl", "touched", "1").Err(),
		housekeep(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	store.Register(ctx, []wire.Registration{{
		Family: "took", Writer: "w", Nonce: "n", Born: 7,
		Definition: wire.Definition{Type: "histogram", Help: "h", Mode: "m", Bounds: []string{"1", "2"}, Retention: time.Second},
	}})
	store.Mark(ctx, []wire.Mark{{Family: "took", Generation: "g", Writer: "w", Last: 7, Fields: []string{"f1", "f2"}}})
	_, _ = wire.RemoveExpired(ctx, store, "took")
	store.Commit(ctx, []wire.Commit{{
		Family: "took", Generation: "g", Writer: "w", Prev: 3, Seq: 4, Limit: 5, Overflow: "o", Totals: true, Again: true,
		Ops: []wire.Op{{Kind: wire.OpAdd, Field: "f1", Value: "v1", Born: 8}, {Kind: wire.OpDelete, Field: "f2"}},
	}})
	_, _ = store.Hold(ctx, wire.HoldRequest{
		Writer: "w", Index: 3, Wanted: 4, Predecessor: "w0", TTL: 5 * time.Second, Lineage: "l1", Current: "l2", Changed: true, Candidate: true,
		Info: wire.Info{Host: "h", Version: "v", Started: 6},
	})
	_ = store.WriteGauges(ctx, []wire.GaugeWrite{{
		Writer: "w", Index: 3, Version: 4, Full: true, Own: 5,
		Ops: []wire.GaugeOp{{Field: "f1", Value: "v1", Expire: time.Second}, {Field: "f2", Delete: true}},
	}})
	_, _ = store.ReadApp(ctx)
	_, _ = wire.ScanSeries(ctx, store, "took", wire.MaxPage)
	_, _ = store.ReadGauges(ctx, []string{"w"})
	_ = store.Release(ctx, "w", 3)

	for key, fields := range map[string]string{
		"shoal:1:{shop/took}:ctl": "gen type help mode bounds born created shape touched retention epoch swept", "shoal:1:{shop}:leases": "lineage housekept stamp left",
	} {
		stored, err := admin.HKeys(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(stored)
		if wanted := strings.Fields(fields); !slices.Equal(stored, slices.Sorted(slices.Values(wanted))) {
			t.Errorf("%s has the fields %q, and docs/protocol.md should tell of %q", key, stored, wanted)
		}
		for _, field := range strings.Fields(fields) {
			if !strings.Contains(keysSection(t), "`"+field+"`") {
				t.Errorf("docs/protocol.md does not tell of the field %s of %s", field, key)
			}
		}
	}

	number := func(n int) []string { return []string{strconv.Itoa(n)} }
	yes, no := number(1), number(0)
	for script, want := range map[string]given{
		"commit-3": {
			"generation": {"g"}, "writer": {"w"}, "prev": {"3"}, "seq": {"4"}, "cap": {"5"}, "overflow": {"o"}, "totals": yes,
			"kinds": {"+-"}, "births": {"8,0"}, "again": yes, "values": {"v1,"}, "fields…": {"f1", "f2"},
		},
		"forget-3": {"retention": {"172800000"}, "score": {"2"}},
		"gauges-2": {
			"writer": {"w"}, "index": {"3"}, "version": {"4"}, "replaces": yes, "gauges": {"5"},
			"(kind, field, value, time to live)…": {"+", "f1", "v1", "1000", "-", "f2", "", "0"},
		},
		"head-2": {
			"families": number(wire.MaxFamilies), "name": number(wire.MaxName), "leases": number(wire.MaxLeases),
			"entry": number(wire.MaxLease), "lengths": no,
		},
		"hold-1": {
			"writer": {"w"}, "held": {"3"}, "wanted": {"4"}, "time to live": {"5000"}, "entry": {"l1 h v 6 5000"},
			"lineage": {"l2"}, "knew another": yes, "predecessor": {"w0"}, "candidate": yes,
		},
		"idle-3": {
			"cursor": no, "fields": {"250"}, "epoch": {""}, "asked": no, "generation": {""}, "writer": {""}, "prev": {""},
		},
		"lapse-1":  {"cursor": no, "fields": {"1000"}},
		"listed-1": {"rank": no, "how many": {"1000"}, "longest name": number(wire.MaxName)},
		"living-n": {"gauges": {"64000"}, "bytes": {"1048576"}, "longest text": number(wire.MaxText), "lengths": no},
		"mark-3":   {"generation": {"g"}, "writer": {"w"}, "last": {"7"}, "fields…": {"f1", "f2"}},
		"prune-1":  {"cursor": no, "fields": {"100"}, "age": number(int(wire.SequenceAge / time.Second))},
		"read-1": {
			"hget, hmget or hscan": {"hscan"}, "longest text": number(wire.MaxText), "bytes": {"1048576"}, "lengths": no,
			"arguments…": {"0", "count", "1000"},
		},
		"register-3": {
			"nonce": {"n"}, "writer": {"w"}, "born": {"7"}, "type": {"histogram"}, "help": {"h"}, "mode": {"m"}, "bounds": {"1 2"}, "retention": {"1000"},
		},
		"release-2": {"writer": {"w"}, "index": {"3"}},
		"stale-1":   {"retention": {"172800000"}, "how many": {"100"}},
		"touch-1":   {"names…": {"took"}},
		"turn-1":    {"how long": {"600000"}},
		"unlist-1":  {"name": {"old"}, "score": {"2"}},
	} {
		row, found := table[script]
		if !found {
			t.Errorf("docs/protocol.md has no script %s", script)
			continue
		}
		var args []string
		for _, name := range row.args {
			values, known := want[name]
			if !known {
				t.Errorf("%s: this test gives no argument %q, of which docs/protocol.md tells", script, name)
			}
			args = append(args, values...)
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s: docs/protocol.md does not tell of the argument %q", script, name)
		}
		if calls := hook.calls[script]; !slices.ContainsFunc(calls, func(c scriptCall) bool {
			return c.keys == len(row.keys) && slices.Equal(c.args, args)
		}) {
			t.Errorf("%s: by docs/protocol.md a call has %d keys and the arguments %q; there were %v", script, len(row.keys), args, calls)
		}
		delete(table, script)
	}
	for script := range table {
		t.Errorf("this test does not call %s", script)
	}
}
