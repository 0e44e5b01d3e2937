// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// retries are clients' settings for tests in which a reply is lost.
var retries = map[string]func(*redis.Options){
	"retries off": func(o *redis.Options) { o.MaxRetries = -1 },
	"retries on":  func(o *redis.Options) { o.MaxRetries = 3 },
}

// begin returns a new app on a client, with the counter a, to which writer w1 has
// added 1 in its first batch.
func begin(t *testing.T, client redis.UniversalClient) (f *fixture, generation string) {
	t.Helper()
	f = newFixture(t, RedisTarget(client))
	generation = f.family("a", wire.TypeCounter)
	f.apply(step(generation, 1))
	return f, generation
}

// step is batch seq of writer w1, which adds 1 to x.
func step(generation string, seq uint64) wire.Commit {
	c := batch("a", generation, seq-1, seq, add("x", "1"))
	c.Totals = false
	return c
}

// send sends batches, which may fail.
func (f *fixture) send(commits ...wire.Commit) []wire.CommitReply {
	f.Helper()
	return f.store.Commit(f.ctx, commits)
}

// wantX wants a value of x, as a scrape reads it.
func (f *fixture) wantX(want string) {
	f.Helper()
	r, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{{Family: "a", Fields: []string{"x"}}}, wire.MaxPage)
	if err != nil || r[0].Err != nil {
		f.Fatal(err, r)
	}
	if got := r[0].Values[0].Text; got != want {
		f.Errorf("the series is %q, want %q", got, want)
	}
}

// doubt says whether a request is in doubt.
func doubt(err error) bool { return err != nil && !wire.Refused(err) && !wire.Answered(err) }

func TestCommit_LostReplyIsInDoubtAndNotAppliedTwice(t *testing.T) {
	server := redistest.Shared(t)
	for name, setting := range retries {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, batches: %d", name, n), func(t *testing.T) {
				p := redistest.StartLossyProxy(t, server.Addr)
				f, gen := begin(t, server.Client(t, setting, func(o *redis.Options) { o.Addr = p.Addr }))
				batches := []wire.Commit{step(gen, 2), step(gen, 3), step(gen, 4)}[:n]
				last := uint64(n) + 1 // a few
				p.Lose(redistest.Mentioning(1, gen))
				for _, r := range f.send(batches...) {
					if !doubt(r.Err) {
						t.Errorf("the lost reply reads %+v, want in doubt", r)
					}
				}
				if n := p.Lost.Load(); n != 1 {
					t.Fatalf("%d replies lost", n)
				}
				// The client did not retry by itself either: this is the second attempt.
				for _, r := range f.send(batches...) {
					if r.Status != wire.CommitDuplicate || r.Last != last {
						t.Errorf("the retry: %+v", r)
					}
				}
				f.wantX(fmt.Sprint(last))
			})
		}
	}
}

func TestCommit_RefusalAfterALostReplyDoesNotHideTheDoubt(t *testing.T) {
	// The client could retry by itself, and the server would refuse the second
	// attempt: the batch must still be in doubt.
	server := redistest.Start(t)
	p := redistest.StartLossyProxy(t, server.Addr)
	admin := server.Client(t)
	client := server.Client(t, retries["retries on"], func(o *redis.Options) { o.Addr = p.Addr })
	f, gen := begin(t, client)
	p.Lose(redistest.Mentioning(1, gen))
	done := make(chan wire.CommitReply)
	go func() { done <- f.send(step(gen, 2))[0] }()
	eventually(t, "the batch is applied", func() bool { return p.Lost.Load() == 1 })
	if err := admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Err == nil || wire.Refused(r.Err) {
		t.Errorf("%+v, want in doubt", r)
	}
}

func TestGauges_LostReplyIsADuplicate(t *testing.T) {
	server := redistest.Shared(t)
	p := redistest.StartLossyProxy(t, server.Addr)
	f := newFixture(t, RedisTarget(server.Client(t, func(o *redis.Options) { o.Addr = p.Addr })))
	f.take(hold("w"), 0, "")
	f.gauges(write(1, true, set("marked", "1")), wire.GaugesOK) // loads the script
	p.Lose(redistest.Mentioning(1, "marked"))
	second := write(2, true, set("marked", "1"))
	if err := f.writeGauges(second).Err; !doubt(err) {
		t.Errorf("%v, want in doubt", err)
	}
	f.gauges(second, wire.GaugesDuplicate)
}

func TestCommit_OutOfMemoryLeavesNothingHalfApplied(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f, gen := begin(t, client)
	dump := func() string {
		return fmt.Sprint(client.HGetAll(f.ctx, controlKey(f.app, "a")).Val(), client.HGetAll(f.ctx, valuesKey(f.app, "a")).Val(),
			client.HGetAll(f.ctx, marksKey(f.app, "a")).Val())
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
		r := f.send(c)[0]
		if r.Err == nil || !wire.Refused(r.Err) || !strings.Contains(r.Err.Error(), "OOM") {
			t.Errorf("%s: %+v, want OOM", name, r)
		}
		if after := dump(); after != before {
			t.Errorf("%s left %s, had %s", name, after, before)
		}
	}
	f.head() // reading still works
}

func TestRegister_OutOfMemoryLeavesNothingHalfApplied(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f, gen := begin(t, client)
	client.Del(f.ctx, valuesKey(f.app, "a")) // one of the family's keys
	client.ConfigSet(f.ctx, "maxmemory", "1")
	r := f.store.Register(f.ctx, []wire.Registration{registration("a", "w1", wire.TypeCounter)})[0]
	if r.Err == nil || !wire.Refused(r.Err) {
		t.Errorf("registering: %+v", r)
	}
	if got := client.HGet(f.ctx, controlKey(f.app, "a"), "gen").Val(); got != gen {
		t.Errorf("the generation is %q, was %q", got, gen)
	}
}

func TestGauges_OutOfMemoryKeepsTheOldOnes(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f := newFixture(t, RedisTarget(client))
	f.take(hold("w"), 0, "")
	f.gauges(write(1, true, set("g", "1")), wire.GaugesOK)
	client.ConfigSet(f.ctx, "maxmemory", "1")
	if err := f.writeGauges(write(2, true, set("g", "2"))).Err; err == nil || !wire.Refused(err) {
		t.Errorf("%v, want OOM", err)
	}
	f.wantGauges(map[string]string{"g": "1"})
}

// interrupted makes the client call meanwhile after each round trip with this command.
func interrupted(client *redis.Client, command string, meanwhile func()) *redis.Client {
	client.AddHook(pipelineHook(func(cmds []redis.Cmder, next func() error) error {
		err := next()
		if cmds[0].Name() == command {
			meanwhile()
		}
		return err
	}))
	return client
}

func TestHousekeep_RechecksOnTheServer(t *testing.T) {
	server := redistest.Shared(t)
	client := server.Client(t)
	f, _ := begin(t, client)
	control, families := controlKey(f.app, "a"), familiesKey(f.app)
	// housekeep calls meanwhile after each script of a housekeeping that finds an old family.
	housekeep := func(meanwhile func()) {
		t.Helper()
		old := fmt.Sprint(time.Now().Add(-2 * retention).Unix())
		if err := client.HSet(f.ctx, control, "w:w1", "1 "+old, "touched", old).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.ZAdd(f.ctx, families, redis.Z{Score: 1, Member: "a"}).Err(); err != nil {
			t.Fatal(err)
		}
		f.housekeepAgain(guarded(interrupted(server.Client(t), "evalsha", meanwhile), f.app), retention, 0)
	}
	t.Run("a family that is written meanwhile stays", func(t *testing.T) {
		housekeep(func() { client.HSet(f.ctx, control, "touched", fmt.Sprint(time.Now().Unix())) })
		f.wantX("1")
	})
	t.Run("a family that is declared meanwhile stays listed", func(t *testing.T) {
		housekeep(func() {
			if client.ZScore(f.ctx, families, "a").Val() == 1 && client.Exists(f.ctx, control).Val() == 0 {
				RedisTarget(client).List(t, f.app, "a")
			}
		})
		if n := client.Exists(f.ctx, control).Val(); n != 0 {
			t.Error("the family was not forgotten: the test tests nothing")
		}
		if names := f.head().Families; len(names) != 1 {
			t.Errorf("listed are %v", names)
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
	if _, err := store.Housekeep(t.Context(), time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := client.Exists(t.Context(), leases).Val(); n != 0 {
		t.Error("the lease of a dead process is still there")
	}
}

func TestIdle_SeriesGoWhereRedisIsFull(t *testing.T) {
	client := redistest.Start(t).Client(t)
	f := newFixture(t, RedisTarget(client))
	r := registration("a", "w1", wire.TypeCounter)
	gen := f.register(r).Generation
	const many = 1000 // four slices
	ops := make([]wire.Op, many)
	for i := range ops {
		ops[i] = held("k\xff"+strconv.Itoa(i), 100)
	}
	f.apply(batch("a", gen, 0, 1, ops...))
	f.pass(9, r)
	kept := make([]string, many-10)
	for i := range kept {
		kept[i] = ops[i].Field
	}
	f.mark("a", gen, kept[:many/2]...)
	f.mark("a", gen, kept[many/2:]...)
	limit := func(memory string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), "maxmemory", memory).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	if reply := f.store.Mark(t.Context(), []wire.Mark{{Family: "a", Generation: gen, Fields: kept[:1]}})[0]; reply.Err == nil || !strings.Contains(reply.Err.Error(), "OOM") {
		t.Errorf("a mark was answered %+v, want OOM", reply)
	}
	f.wantRemoved("a", wire.Removed{Idle: 10})
	limit("0")
	if n := len(f.series("a")); n != len(kept) {
		t.Errorf("%d series are left, want %d", n, len(kept))
	}
	f.wantRemoved("a", nothingRemoved)
}

// In a full Redis no turn is noted. If it stays full for hours, each turn would be late.
func TestHousekeep_MakesRoomInARedisThatIsFullForHours(t *testing.T) {
	client := redistest.Start(t).Client(t)
	f := newFixture(t, RedisTarget(client))
	r := registration("a", "w1", wire.TypeCounter)
	f.apply(batch("a", f.register(r).Generation, 0, 1, held("x", 100)))
	f.pass(9, r)
	before := strconv.FormatInt(f.head().Now.Add(-61*time.Minute).UnixMilli(), 10)
	if err := errors.Join(client.HSet(t.Context(), leasesKey(f.app), "housekept", before).Err(),
		client.ConfigSet(t.Context(), "maxmemory", "1").Err()); err != nil {
		t.Fatal(err)
	}
	f.wantHousekept(retention, nothingRemoved)
	f.wantHousekept(retention, oneIdle)
}

func TestCommit_DemotedMasterSaysReadOnly(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f, gen := begin(t, client)
	if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]wire.Commit{
		"the next":     step(gen, 2),
		"a duplicate":  step(gen, 1),
		"verification": {Family: "a", Generation: gen, Writer: "w1", Prev: 1, Seq: 1},
	} {
		r := f.send(c)[0]
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
	f, gen := begin(t, client)

	server.Freeze(t)
	if r := f.send(step(gen, 2))[0]; r.Err == nil || wire.Refused(r.Err) {
		t.Errorf("a frozen server: %+v, want in doubt", r)
	}
	server.Thaw(t)
	server.Kill()
	eventually(t, "the pool has no connection left", func() bool {
		r := f.send(step(gen, 2))[0]
		return r.Err != nil && wire.Refused(r.Err)
	})

	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for err, want := range map[error]bool{
		nil: false, redis.Nil: false, errors.New("EOF"): false, &net.OpError{Op: "read", Err: errors.New("reset")}: false,
		dial: true, fmt.Errorf("wrapped: %w", dial): true,
		redis.ErrPoolTimeout: true, redis.ErrClosed: true, redis.ErrNoScript: true, redis.ErrCrossSlot: true,
	} {
		if got := wire.Refused(err); got != want {
			t.Errorf("Refused(%v) is %v", err, got)
		}
	}
}

func TestRedis_RestartWithASnapshotShowsAGap(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	f, gen := begin(t, client)
	f.apply(step(gen, 2))
	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	f.send(step(gen, 3))
	server.Restart(t)
	var r wire.CommitReply
	eventually(t, "the server answers", func() bool {
		r = f.send(step(gen, 4))[0]
		return r.Err == nil
	})
	if r.Status != wire.CommitGap || r.Last != 2 {
		t.Errorf("%+v, want a gap after 2", r)
	}
	f.send(step(gen, 3), step(gen, 4))
	f.wantX("4")
}
