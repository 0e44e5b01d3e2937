// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/conformance"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// retries are the settings of a client under which a reply may be lost.
var retries = map[string]func(*redis.Options){
	"retries off": func(o *redis.Options) { o.MaxRetries = -1 },
	"retries on":  func(o *redis.Options) { o.MaxRetries = 3 },
}

// counter registers family a and returns its generation.
func counter(t *testing.T, s wire.Store) string {
	t.Helper()
	r := s.Register(t.Context(), []wire.Registration{{
		Family: "a", Writer: "w1", Nonce: rand.Text(), Born: 1,
		Definition: wire.Definition{Type: wire.TypeCounter},
	}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Generation
}

// step is batch seq of writer w1, which adds 1 to x.
func step(generation string, seq uint64) wire.Commit {
	return wire.Commit{
		Family: "a", Generation: generation, Writer: "w1", Prev: seq - 1, Seq: seq,
		Ops: []wire.Op{{Kind: wire.OpAdd, Field: "x", Value: "1"}},
	}
}

func commit(t *testing.T, s wire.Store, commits ...wire.Commit) []wire.CommitReply {
	t.Helper()
	return s.Commit(t.Context(), commits)
}

func wantX(t *testing.T, s wire.Store, want string) {
	t.Helper()
	r, _, err := s.ReadSeries(t.Context(), []wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage)
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	if got := r[0].Values[0].Text; got != want {
		t.Errorf("the series is %q, want %q", got, want)
	}
}

func TestCommit_LostReplyIsInDoubtAndNotAppliedTwice(t *testing.T) {
	server := redistest.Shared(t)
	for name, setting := range retries {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, server.Addr)
			client := server.Client(t, setting, func(o *redis.Options) { o.Addr = p.listener.Addr().String() })
			app := rand.Text()
			store := wire.NewRedis(client, app)
			gen := counter(t, store)
			if r := commit(t, store, step(gen, 1))[0]; r.Status != wire.CommitOK {
				t.Fatalf("%+v", r)
			}
			p.arm(gen, 1)
			r := commit(t, store, step(gen, 2))[0]
			if p.lost() != 1 {
				t.Fatalf("%d replies lost", p.lost())
			}
			if r.Err == nil || wire.Refused(r.Err) {
				t.Errorf("the lost reply reads %+v, want in doubt", r)
			}
			// Not through the client's own retry either: this is the second time.
			if r := commit(t, store, step(gen, 2))[0]; r.Status != wire.CommitDuplicate || r.Last != 2 {
				t.Errorf("the retry: %+v", r)
			}
			wantX(t, store, "2")
		})
	}
}

func TestCommit_LostReplyOfSeveralBatchesIsSettledByARetry(t *testing.T) {
	server := redistest.Shared(t)
	p := startProxy(t, server.Addr)
	client := server.Client(t, func(o *redis.Options) { o.Addr = p.listener.Addr().String() })
	store := wire.NewRedis(client, rand.Text())
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	p.arm(gen, 1)
	batches := []wire.Commit{step(gen, 2), step(gen, 3), step(gen, 4)}
	for _, r := range commit(t, store, batches...) {
		if r.Err == nil || wire.Refused(r.Err) {
			t.Errorf("%+v, want in doubt", r)
		}
	}
	for i, r := range commit(t, store, batches...) {
		if r.Status != wire.CommitDuplicate || r.Last != 4 {
			t.Errorf("batch %d: %+v", i, r)
		}
	}
	wantX(t, store, "4")
}

func TestCommit_RefusalAfterALostReplyDoesNotHideTheDoubt(t *testing.T) {
	// The client would retry by itself, and the server would refuse the second
	// attempt: the answer must still be "in doubt".
	server := redistest.Start(t)
	p := startProxy(t, server.Addr)
	admin := server.Client(t)
	client := server.Client(t, retries["retries on"], func(o *redis.Options) { o.Addr = p.listener.Addr().String() })
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	p.arm(gen, 1)
	done := make(chan wire.CommitReply)
	go func() { done <- store.Commit(t.Context(), []wire.Commit{step(gen, 2)})[0] }()
	within(t, "the batch is applied", func() bool { return p.lost() == 1 })
	if err := admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Err == nil || wire.Refused(r.Err) {
		t.Errorf("%+v, want in doubt", r)
	}
}

func TestGauges_LostReplyIsADuplicate(t *testing.T) {
	server := redistest.Shared(t)
	p := startProxy(t, server.Addr)
	client := server.Client(t, func(o *redis.Options) { o.Addr = p.listener.Addr().String() })
	store := wire.NewRedis(client, rand.Text())
	held, err := store.Hold(t.Context(), wire.HoldRequest{Writer: "w1", Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	w := wire.GaugeWrite{Writer: "w1", Index: held.Index, Version: 1, Full: true,
		Ops: []wire.GaugeOp{{Field: "marked", Value: "1", Expire: time.Minute}}}
	// The first write is NOSCRIPT on a fresh server; let the script be known.
	if _, err := store.WriteGauges(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	w.Version = 2
	p.arm("marked", 1)
	if _, err := store.WriteGauges(t.Context(), w); err == nil || wire.Refused(err) {
		t.Errorf("%v, want in doubt", err)
	}
	status, err := store.WriteGauges(t.Context(), w)
	if err != nil || status != wire.GaugesDuplicate {
		t.Errorf("the retry: status %d, %v", status, err)
	}
}

func TestCommit_OutOfMemoryLeavesNothingHalfApplied(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	dump := func() string {
		return fmt.Sprint(client.HGetAll(t.Context(), "shoal:1:{shop/a}:ctl").Val(), client.HGetAll(t.Context(), "shoal:1:{shop/a}:v").Val())
	}
	before := dump()
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for name, ops := range map[string][]wire.Op{
		"add":    {{Kind: wire.OpAdd, Field: "y", Value: "1"}},
		"delete": {{Kind: wire.OpDelete, Field: "x"}},
		"clear":  {{Kind: wire.OpClear}, {Kind: wire.OpAdd, Field: "y", Value: "1"}},
	} {
		c := step(gen, 2)
		c.Ops = ops
		r := commit(t, store, c)[0]
		if r.Err == nil || !wire.Refused(r.Err) || !strings.Contains(r.Err.Error(), "OOM") {
			t.Errorf("%s: %+v, want OOM", name, r)
		}
		if after := dump(); after != before {
			t.Errorf("%s left %s, had %s", name, after, before)
		}
	}
	if _, err := store.ReadApp(t.Context()); err != nil {
		t.Errorf("reading when out of memory: %v", err)
	}
}

func TestRegister_OutOfMemoryLeavesNothingHalfApplied(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	gen := counter(t, wire.NewRedis(client, "shop"))
	client.Del(t.Context(), "shoal:1:{shop/a}:v") // half of the family is lost
	// The memory ends between the listing and the registration.
	store := wire.NewRedis(interrupted(server.Client(t), "evalsha", func() {
		client.ConfigSet(t.Context(), "maxmemory", "1")
	}), "shop")
	reg := wire.Registration{Family: "a", Writer: "w1", Nonce: "n", Definition: wire.Definition{Type: wire.TypeCounter}}
	if r := store.Register(t.Context(), []wire.Registration{reg})[0]; r.Err == nil || !wire.Refused(r.Err) {
		t.Errorf("registering: %+v", r)
	}
	if got := client.HGet(t.Context(), "shoal:1:{shop/a}:ctl", "gen").Val(); got != gen {
		t.Errorf("the generation is %q, was %q", got, gen)
	}
}

func TestGauges_OutOfMemoryKeepsTheOldOnes(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	if _, err := store.Hold(t.Context(), wire.HoldRequest{Writer: "w", Index: wire.NoIndex, Wanted: 0, TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	w := wire.GaugeWrite{Writer: "w", Version: 1, Full: true,
		Ops: []wire.GaugeOp{{Field: "g", Value: "1", Expire: time.Minute}}}
	if _, err := store.WriteGauges(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	client.ConfigSet(t.Context(), "maxmemory", "1")
	w.Version, w.Ops[0].Value = 2, "2"
	if _, err := store.WriteGauges(t.Context(), w); err == nil || !wire.Refused(err) {
		t.Errorf("%v, want OOM", err)
	}
	gauges, err := store.ReadGauges(t.Context(), []string{"w"})
	if err != nil || len(gauges[0].Entries) != 1 || gauges[0].Entries[0].Text != "1" {
		t.Errorf("the gauges are %v, %v", gauges, err)
	}
}

// interrupted returns the client with something else happening on the server
// after each round trip of a kind.
func interrupted(client *redis.Client, command string, meanwhile func()) *redis.Client {
	client.AddHook(interruption{command, meanwhile})
	return client
}

type interruption struct {
	command   string
	meanwhile func()
}

func (interruption) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (interruption) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (i interruption) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if cmds[0].Name() == i.command {
			i.meanwhile()
		}
		return err
	}
}

func TestHousekeep_RechecksOnTheServer(t *testing.T) {
	const retention = 30 * 24 * time.Hour
	server := redistest.Shared(t)
	client := server.Client(t)
	app := rand.Text()
	plain := wire.NewRedis(client, app)
	gen := counter(t, plain)
	commit(t, plain, step(gen, 1))
	control, families := "shoal:1:{"+app+"/a}:ctl", "shoal:1:{"+app+"}:families"
	var old, stamp, present string
	prepare := func() {
		t.Helper()
		now := time.Now()
		old = fmt.Sprint(now.Add(-2 * retention).Unix())
		stamp = "1 " + old
		present = fmt.Sprint(now.Unix())
		if err := client.HSet(t.Context(), control, "w:w1", stamp, "touched", old).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.ZAdd(t.Context(), families, redis.Z{Score: 1, Member: "a"}).Err(); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("a family that is written meanwhile stays", func(t *testing.T) {
		prepare()
		store := guarded(interrupted(server.Client(t), "evalsha", func() {
			client.HSet(t.Context(), control, "touched", present)
		}), app)
		if err := store.Housekeep(t.Context(), retention, 0); err != nil {
			t.Fatal(err)
		}
		wantX(t, plain, "1")
	})
	t.Run("a family that is declared meanwhile stays listed", func(t *testing.T) {
		prepare()
		store := wire.NewRedis(interrupted(server.Client(t), "evalsha", func() {
			if score := client.ZScore(t.Context(), families, "a").Val(); score == 1 && client.Exists(t.Context(), control).Val() == 0 {
				conformance.RedisTarget(client).List(t, app, "a")
			}
		}), app)
		if err := store.Housekeep(t.Context(), retention, 0); err != nil {
			t.Fatal(err)
		}
		if n := client.Exists(t.Context(), control).Val(); n != 0 {
			t.Error("the family was not forgotten: the test tests nothing")
		}
		if state, err := plain.ReadApp(t.Context()); err != nil || len(state.Families) != 1 {
			t.Errorf("listed are %v, %v", state.Families, err)
		}
	})
}

func TestHousekeep_MakesRoomWhereRedisIsFull(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	const leases = "shoal:1:{shop}:leases"
	if err := client.HSet(t.Context(), leases, "i:0", "dead 1 - - - 1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := store.Housekeep(t.Context(), time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := client.Exists(t.Context(), leases).Val(); n != 0 {
		t.Error("the lease of a dead process is still there")
	}
}

func TestCommit_DemotedMasterSaysReadOnly(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))
	if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]wire.Commit{
		"the next":     step(gen, 2),
		"a duplicate":  step(gen, 1),
		"verification": {Family: "a", Generation: gen, Writer: "w1", Prev: 1, Seq: 1},
	} {
		r := commit(t, store, c)[0]
		if r.Err == nil || !wire.Refused(r.Err) || !redis.IsReadOnlyError(r.Err) {
			t.Errorf("%s: %+v, want READONLY", name, r)
		}
	}
}

func TestRefused_TellsRefusalFromDoubt(t *testing.T) {
	server := redistest.Start(t)
	brief := func(o *redis.Options) {
		o.ReadTimeout, o.DialTimeout, o.MaxRetries = 100*time.Millisecond, 100*time.Millisecond, -1
		o.DialerRetries = 1
	}
	client := server.Client(t, brief)
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1))

	server.Freeze(t)
	if r := commit(t, store, step(gen, 2))[0]; r.Err == nil || wire.Refused(r.Err) {
		t.Errorf("a frozen server: %+v, want in doubt", r)
	}
	server.Thaw(t)
	server.Kill()
	within(t, "the pool has no connection left", func() bool {
		r := commit(t, store, step(gen, 2))[0]
		return r.Err != nil && wire.Refused(r.Err)
	})

	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{redis.Nil, false},
		{errors.New("EOF"), false},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, false},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), true},
		{redis.ErrPoolTimeout, true},
		{redis.ErrClosed, true},
		{redis.ErrNoScript, true},
		{redis.ErrCrossSlot, true},
	} {
		if got := wire.Refused(test.err); got != test.want {
			t.Errorf("Refused(%v) is %v", test.err, got)
		}
	}
}

func TestRedis_RestartWithASnapshotShowsAGap(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	store := wire.NewRedis(client, "shop")
	gen := counter(t, store)
	commit(t, store, step(gen, 1), step(gen, 2))
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	commit(t, store, step(gen, 3))
	server.Restart(t)
	var r wire.CommitReply
	within(t, "the server answers", func() bool {
		r = commit(t, store, step(gen, 4))[0]
		return r.Err == nil
	})
	if r.Status != wire.CommitGap || r.Last != 2 {
		t.Errorf("%+v, want a gap after 2", r)
	}
	commit(t, store, step(gen, 3), step(gen, 4))
	wantX(t, store, "4")
}
