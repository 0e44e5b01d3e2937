// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// countTrips counts the pipelines of a client.
func countTrips(client *redis.Client) *int {
	trips := new(int)
	client.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
		*trips++
		return next()
	}))
	return trips
}

// storeFamilies stores families with so many series each.
func storeFamilies(t *testing.T, store wire.Store, families, series int) {
	t.Helper()
	var regs []wire.Registration
	for i := range families {
		regs = append(regs, registration(fmt.Sprintf("f%04d_total", i), "w1", wire.TypeCounter))
	}
	var commits []wire.Commit
	for i, r := range store.Register(t.Context(), regs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		commits = append(commits, batch(regs[i].Family, r.Generation, 0, 1, numbered(0, series)...))
	}
	for _, r := range store.Commit(t.Context(), commits) {
		if r.Err != nil || r.Status != wire.CommitOK {
			t.Fatalf("%+v", r)
		}
	}
}

// readFirstPage makes the calls of a reader's first page, and returns what it would expect of the next.
func readFirstPage(t *testing.T, store wire.Store) (expected wire.Expected) {
	t.Helper()
	head, err := store.ReadHead(t.Context(), wire.Expected{})
	if err != nil {
		t.Fatal(err)
	}
	var scans []*wire.Scan
	for _, name := range head.App.Families {
		scans = append(scans, &wire.Scan{Family: name})
	}
	if err := store.Scan(t.Context(), scans, wire.MaxPage); err != nil {
		t.Fatal(err)
	}
	var starts []wire.StartsQuery
	var generations []wire.SeriesQuery
	expected = wire.Expected{App: head.App, Room: wire.MaxPage}
	for i, scan := range scans {
		generation := head.States[i].Generation
		query := wire.SeriesQuery{Family: scan.Family, Generation: generation}
		generations = append(generations, query)
		for _, one := range scan.Series {
			query.Fields, query.Texts = append(query.Fields, one.Field), query.Texts+len(one.Text)
		}
		expected.Series = append(expected.Series, query)
		starts = append(starts, wire.StartsQuery{Family: scan.Family, Generation: generation, Fields: query.Fields})
	}
	if _, err := store.ReadStarts(t.Context(), starts); err != nil {
		t.Fatal(err)
	}
	replies, _, err := store.ReadSeries(t.Context(), generations, wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replies {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	return expected
}

// A few families more than a thousand are those of a process with a thousand, since shoal has some
// of its own.
func TestFirstPage_OfAThousandFamiliesTakesFiveRoundTrips(t *testing.T) {
	server := redistest.Start(t)
	storeFamilies(t, wire.NewRedis(server.Client(t), "shop"), 1020, 10)
	for _, isGuarded := range []bool{true, false} {
		client := server.Client(t)
		readFirstPage(t, wire.NewRedis(client, "shop")) // Redis then has the scripts
		trips := countTrips(client)
		store := wire.NewRedis(client, "shop")
		store.Guarded = isGuarded
		readFirstPage(t, store)
		if *trips > 5 {
			t.Errorf("guarded %v: %d round trips", isGuarded, *trips)
		}
	}
}

func TestHead_BringsTheValuesThatAreExpected(t *testing.T) {
	for name, tt := range map[string]struct {
		args     []string
		families int
		flush    bool // the scripts before
		together bool
		trips    int
	}{
		"few":                          {nil, 50, false, true, 1},
		"few, and scripts are lost":    {nil, 50, true, true, 3},
		"more than one pipeline holds": {nil, 1020, false, false, 1},
		"where EVALSHA is refused":     {[]string{"--rename-command", "EVALSHA", ""}, 50, false, false, 2},
	} {
		for _, isGuarded := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/guarded %v", name, isGuarded), func(t *testing.T) {
				server := redistest.Start(t, tt.args...)
				client := server.Client(t)
				f := &fixture{T: t, app: "shop", ctx: t.Context(), store: wire.NewRedis(server.Client(t), "shop")}
				storeFamilies(t, f.store, tt.families, 10)
				store := wire.NewRedis(client, "shop")
				store.Guarded = isGuarded
				expected := readFirstPage(t, store)
				if tt.flush {
					client.ScriptFlush(t.Context())
				}
				trips := countTrips(client)
				if _, err := store.ReadHead(t.Context(), expected); err != nil {
					t.Fatal(err)
				}
				if tt.flush && !isGuarded { // registrations are read by a script then, which is loaded after the others
					tt.trips += 2
				}
				if *trips != tt.trips {
					t.Errorf("%d round trips, want %d", *trips, tt.trips)
				}
				if together := f.sameAsInParts(store, expected); together != tt.together {
					t.Errorf("the values came with the head: %v", together)
				}
			})
		}
	}
}

// A connection may have died while another one works: a reading is tried again over that one,
// as often as readAttempts says.
func TestRead_IsTriedAgainOverAnotherConnection(t *testing.T) {
	server := redistest.Start(t)
	storeFamilies(t, wire.NewRedis(server.Client(t), "shop"), 3, 10)
	line := redistest.StartLine(t, server.Addr, 0, 0)
	behind := func(o *redis.Options) {
		o.Addr, o.MaxRetries, o.ReadTimeout, o.DisableIdentity = line.Addr, -1, 300*time.Millisecond, true
	}
	for _, isGuarded := range []bool{true, false} {
		client := server.Client(t, behind)
		store := wire.NewRedis(client, "shop")
		store.Guarded = isGuarded
		expected := readFirstPage(t, store)
		attempts, resets, each := 0, 0, func() {} // how many pipelines there were, and how many of them meet a reset
		client.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
			attempts++
			line.Reset(nil)
			if attempts <= resets {
				line.Reset(func() bool { return true })
			}
			each()
			return next()
		}))
		readings := map[string]func(ctx context.Context) error{
			"head": func(ctx context.Context) error {
				head, err := store.ReadHead(ctx, expected)
				if err == nil && len(head.Series) != len(expected.Series) {
					t.Errorf("%d replies", len(head.Series))
				}
				return err
			},
			"series": func(ctx context.Context) error {
				_, _, err := store.ReadSeries(ctx, expected.Series, wire.MaxPage)
				return err
			},
			"scan": func(ctx context.Context) error {
				return store.Scan(ctx, []*wire.Scan{{Family: "f0001_total"}, {Family: "f0002_total"}}, wire.MaxPage)
			},
			"families": func(ctx context.Context) error {
				_, err := store.ReadFamilies(ctx, expected.App.Families)
				return err
			},
		}
		for name, read := range readings {
			for _, lost := range []int{0, 1, 2, 3, 100} {
				line.Reset(nil)
				client.Ping(t.Context())
				attempts, resets = 0, lost
				if err := read(t.Context()); (err == nil) != (lost < 3) || attempts != min(lost+1, 3) || wire.Answered(err) {
					t.Errorf("%s, guarded %v: of %d attempts %d met a reset: %v", name, isGuarded, attempts, lost, err)
				}
			}
			line.Reset(nil)
			client.Ping(t.Context())
			attempts, resets = 0, 100
			ctx, cancel := context.WithCancel(t.Context())
			each = cancel
			if err := read(ctx); err == nil || attempts != 1 {
				t.Errorf("%s, guarded %v: %d attempts after the context has ended, %v", name, isGuarded, attempts, err)
			}
			each, resets = func() {}, 0
			line.Reset(nil)
			client.Ping(t.Context())
			line.Silence()
			if err := read(t.Context()); err != nil {
				t.Errorf("%s, guarded %v: over a dead connection: %v", name, isGuarded, err)
			}
		}
	}
}

func TestRead_ThatIsRefusedIsNotTriedAgain(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	storeFamilies(t, wire.NewRedis(client, "shop"), 3, 10)
	store := guarded(client, "shop")
	expected := readFirstPage(t, store)
	client.Del(t.Context(), familiesKey("shop"))
	client.Set(t.Context(), familiesKey("shop"), "a stranger's", 0)
	trips := countTrips(client)
	var wrong *wire.WrongTypeError
	if _, err := store.ReadHead(t.Context(), expected); !errors.As(err, &wrong) || *trips > 2 { // the second asks which key it is
		t.Errorf("%d round trips, %v", *trips, err)
	}
}

// On a narrow line the first reading may fail. It learns how much a pipeline may carry, and later
// readings hold to that.
func TestRead_ThatFailsOnANarrowLineLearns(t *testing.T) {
	server := redistest.Start(t)
	storeFamilies(t, wire.NewRedis(server.Client(t), "shop"), 300, 10)
	line := redistest.StartLine(t, server.Addr, 0, 200_000)
	client := server.Client(t, func(o *redis.Options) { o.Addr, o.MaxRetries, o.ReadTimeout = line.Addr, -1, 300*time.Millisecond })
	store := guarded(client, "shop")
	deadline := time.Now().Add(30 * time.Second)
	head, err := store.ReadHead(t.Context(), wire.Expected{})
	for err != nil && time.Now().Before(deadline) {
		head, err = store.ReadHead(t.Context(), wire.Expected{})
	}
	if err != nil || len(head.States) != 300 {
		t.Fatalf("%d families, %v", len(head.States), err)
	}
	failed := 0
	client.AddHook(pipelineHook(func(_ []redis.Cmder, next func() error) error {
		err := next()
		if err != nil && !wire.Answered(err) {
			failed++
		}
		return err
	}))
	readFirstPage(t, store)
	if failed > 0 {
		t.Errorf("%d pipelines failed after the first reading", failed)
	}
}
