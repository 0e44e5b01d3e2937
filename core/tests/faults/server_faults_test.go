// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

var aof = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// whatIsKept is why living processes lose nothing.
const whatIsKept = "exact: processes send again what they keep"

// serverFaults happen to a single server.
var serverFaults = []fault{
	{
		name: "killed without persistence", event: "`kill -9`, no persistence, started again",
		scrape: "503 `Redis can't be reached`, then `recovering`", totals: whatIsKept,
		begin: kill, says: "Redis can't be reached", end: restart, once: true,
	},
	{
		name: "killed with an AOF", event: "`kill -9`, AOF `everysec`, started again",
		scrape: "503 `Redis can't be reached`, then `recovering`", totals: whatIsKept,
		args: aof, begin: kill, says: "Redis can't be reached", end: restart,
	},
	{
		name: "killed with an old snapshot", event: "`kill -9`, an older RDB snapshot, started again",
		scrape: "503 `Redis can't be reached`, then `recovering`", totals: whatIsKept,
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Save(t.Context()).Err())
			r.app.more(t, 200)
			kill(t, r)
		},
		says: "Redis can't be reached", end: restart, once: true,
	},
	{
		name: "loading", event: "restarted with a large dataset",
		scrape: "503 `Redis refuses with LOADING`, then `recovering`", totals: "exact",
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "DEBUG", "POPULATE", 3000, "filler", 100).Err())
			r.server.Shutdown(t)
			r.server.Relaunch(t, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
		},
		once: true, says: "LOADING", end: func(t *testing.T, r *fixture) { r.server.Await(t) },
	},
	{
		name: "frozen", event: "frozen (SIGSTOP, a stalled disk or host), then resumed",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact",
		begin: func(t *testing.T, r *fixture) { r.server.Freeze(t) },
		says:  "Redis has not answered in time",
		end:   func(t *testing.T, r *fixture) { r.server.Thaw(t) },
	},
	{
		name: "paused", event: "`CLIENT PAUSE` for some seconds",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact",
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "CLIENT", "PAUSE", 7000, "ALL").Err())
		},
		says: "Redis has not answered in time", // no end: the pause ends by itself
	},
	{
		name: "clients killed", event: "`CLIENT KILL`, again and again",
		scrape: "pages, and sometimes a 503 `the connection to Redis failed`", totals: "exact", either: true,
		begin: func(t *testing.T, r *fixture) {
			for range 20 {
				r.hangUp(t)
				<-time.After(50 * time.Millisecond) // between two of them
			}
		},
	},
	{
		name: "scripts flushed", event: "`SCRIPT FLUSH`, again and again",
		scrape: "pages", totals: "exact",
		begin: func(t *testing.T, r *fixture) {
			for range 20 {
				testkit.Must(t, r.admin.ScriptFlush(t.Context()).Err())
				<-time.After(20 * time.Millisecond) // between two of them
			}
		},
	},
	{
		name: "emptied", event: "`FLUSHALL`",
		scrape: "503 `recovering` until living processes have brought their metrics back, then pages; counters begin at 0, which `rate()` takes for a reset",
		totals: "what was there is lost, counted as `wiped`; what comes later is exact",
		begin:  func(t *testing.T, r *fixture) { testkit.Must(t, r.admin.FlushAll(t.Context()).Err()) },
		wiped:  true, after: positive(`shoal_lost_batches_total{reason="wiped"}`),
	},
	{
		name: "full", event: "`maxmemory` reached, `noeviction`",
		scrape: "pages whose values do not change; gauges vanish when the leases expire", totals: "exact", waits: true,
		begin: func(t *testing.T, r *fixture) { r.set(t, "maxmemory", "1") },
		meanwhile: func(t *testing.T, r *fixture, mark int) {
			r.app.watch.eventually(t, mark, func(p testkit.Page) error { return p.Lacks("depth") })
		},
		end:   func(t *testing.T, r *fixture) { r.set(t, "maxmemory", "0") },
		after: func(p testkit.Page) error { return p.Has("depth", "2") },
	},
	{
		name: "evicting", event: "`maxmemory` reached, `allkeys-lru`",
		scrape: "503 `recovering` until living processes have brought their metrics back, then pages; counters begin at 0, which `rate()` takes for a reset",
		totals: "what is evicted is lost, counted as `wiped`; what comes later is exact",
		begin: func(t *testing.T, r *fixture) {
			r.set(t, "maxmemory-policy", "allkeys-lru")
			r.set(t, "maxmemory", "1") // less than an empty server takes, so every key is evicted
			testkit.Eventually(t, func() error {
				if n := r.admin.Exists(t.Context(), r.key("jobs_total", "v")).Val(); n > 0 {
					return errors.New("nothing was evicted")
				}
				return nil
			})
			r.set(t, "maxmemory", "0")
		},
		wiped: true, after: positive(`shoal_lost_batches_total{reason="wiped"}`),
	},
	{
		name: "demoted", event: "demoted: `READONLY`",
		scrape: "pages whose values do not change", totals: "exact", waits: true,
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
		},
		meanwhile: func(t *testing.T, r *fixture, mark int) {
			r.app.watch.eventually(t, mark, positive("jobs_total"))
		},
		end: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
		},
	},
	{
		name: "busy", event: "a script that does not end: `BUSY`",
		scrape: "503 `Redis refuses with BUSY`", totals: "exact",
		begin: func(t *testing.T, r *fixture) {
			r.set(t, "busy-reply-threshold", "50")
			stuck := r.server.Client(t, func(o *redis.Options) { o.ReadTimeout, o.MaxRetries = time.Minute, -1 })
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = stuck.Eval(t.Context(), "while true do end", nil).Err() // until it is killed
			}()
			r.undo = func() {
				testkit.Must(t, r.admin.ScriptKill(t.Context()).Err())
				<-done
			}
		},
		says: "BUSY", end: func(_ *testing.T, r *fixture) { r.undo() },
	},
	{
		name: "password unknown", event: "the password changed: `WRONGPASS`, `NOAUTH`",
		scrape: "503 `Redis refuses with WRONGPASS`", totals: "exact", user: true,
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "ACL", "SETUSER", "shop", "<secret", ">other").Err())
			r.hangUp(t)
		},
		says: "WRONGPASS",
		end: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "ACL", "SETUSER", "shop", ">secret").Err())
		},
	},
	{
		name: "rights revoked", event: "the ACL user lost its rights: `NOPERM`",
		scrape: "503 `Redis refuses with NOPERM`", totals: "exact", user: true,
		begin: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "ACL", "SETUSER", "shop", "resetkeys").Err())
		},
		says: "NOPERM",
		end: func(t *testing.T, r *fixture) {
			testkit.Must(t, r.admin.Do(t.Context(), "ACL", "SETUSER", "shop", "~*").Err())
		},
	},
	{
		name: "a stranger's key", event: "a key of one metric was overwritten with another type",
		scrape: "pages; for a moment 503, or a page without that metric",
		totals: "the process that writes the metric replaces the key, counted by `shoal_corrupt_values_total`; its values until then are lost, counted as `wiped`; the other metrics are exact",
		begin: func(t *testing.T, r *fixture) {
			for _, family := range []string{"jobs_total", "took_seconds", "size_bytes", "paid_total"} {
				testkit.Must(t, r.admin.Set(t.Context(), r.key(family, "v"), "a stranger's", 0).Err())
			}
		},
		wiped: true, after: func(p testkit.Page) error {
			return errors.Join(idle(p), positive("shoal_corrupt_values_total")(p))
		},
	},
	{
		name: "a corrupt value", event: "a stored value was overwritten with a text that is no number",
		scrape: "pages", totals: "that series begins at 0, counted by `shoal_corrupt_values_total`; the other metrics are exact",
		begin: func(t *testing.T, r *fixture) {
			for _, family := range []string{"jobs_total", "took_seconds", "paid_total"} {
				testkit.Must(t, r.admin.HSet(t.Context(), r.key(family, "v"), "", "no number").Err())
			}
			for _, kind := range []string{"0", "1"} {
				testkit.Must(t, r.admin.HSet(t.Context(), r.key("size_bytes", "v"), "kind\xff"+kind, "no number").Err())
			}
		},
		wiped: true, after: func(p testkit.Page) error {
			return errors.Join(idle(p), positive("shoal_corrupt_values_total")(p))
		},
	},
}

func kill(_ *testing.T, r *fixture) { r.server.Kill() }

func restart(t *testing.T, r *fixture) { r.server.Restart(t) }

// TestServer_Faults runs serverFaults.
func TestServer_Faults(t *testing.T) {
	t.Parallel()
	for i := range serverFaults {
		t.Run(serverFaults[i].name, serverFaults[i].run)
	}
}
