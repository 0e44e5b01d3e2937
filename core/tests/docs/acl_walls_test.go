// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// aclUserFor makes the user of docs/redis.md for another app.
func aclUserFor(t *testing.T, admin *redis.Client, app string) {
	t.Helper()
	list, _ := blocks(t, "docs/redis.md")
	for _, b := range list {
		if b.language != "acl" || !strings.HasPrefix(b.text, "user shop ") {
			continue
		}
		args := []any{"acl", "setuser", app}
		for _, word := range strings.Fields(b.text)[2:] {
			pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(app)
			args = append(args, strings.NewReplacer("{shop}", "{"+pattern+"}", "{shop/", "{"+pattern+"/").Replace(word))
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("docs/redis.md has no user shop")
}

// What else is on the server is out of the users' reach: other apps, keys that
// are nobody's, and every command that shoal does not need; inside a script too.
func TestDocs_TheACLAllowsNothingElse(t *testing.T) {
	ctx := t.Context()
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin)
	apps := []string{"shop", "shop2", "sho", "sh*p"}
	for _, app := range apps {
		if app != "shop" {
			aclUserFor(t, admin, app)
		}
		reg := shoal.New()
		if err := reg.Connect(server.Client(t, as(app)), shoal.Opts{OnError: quiet, App: app}); err != nil {
			t.Fatal(err)
		}
		reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
		if err := reg.Flush(ctx); err != nil {
			t.Errorf("%s: %v", app, err)
		}
		if err := reg.Close(ctx); err != nil {
			t.Errorf("%s: %v", app, err)
		}
	}
	if err := admin.Set(ctx, "session:1", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	// Nobody else's keys, by any command that a user has, and by any script.
	reach, err := admin.ScriptLoad(ctx, "return redis.call(ARGV[1], unpack(ARGV, 2))").Result()
	if err != nil {
		t.Fatal(err)
	}
	before := keysOf(t, admin)
	for _, user := range []string{"shop", "shop-exporter", "shop2", "sho", "sh*p"} {
		client := server.Client(t, as(user))
		keys := []string{"session:1", "shoal:1:{other}:leases"}
		for _, app := range apps {
			if app != strings.TrimSuffix(user, "-exporter") {
				tag := "shoal:1:{" + app
				keys = append(keys, tag+"/c_total}:ctl", tag+"/c_total}:v", tag+"}:families", tag+"}:leases", tag+"}:g:x")
			}
		}
		for _, key := range keys {
			for _, command := range [][]any{
				{"hgetall", key}, {"hget", key, "x"}, {"hmget", key, "x"}, {"hscan", key, "0"}, {"zrange", key, "0", "-1"},
				{"hset", key, "x", "1"}, {"hdel", key, "x"}, {"del", key}, {"unlink", key}, {"exists", key},
				{"pttl", key}, {"pexpireat", key, "1"}, {"zadd", key, "1", "x"}, {"zrem", key, "x"},
				{"get", key}, {"set", key, "x"}, {"type", key}, {"dump", key}, {"rename", key, key + "2"},
			} {
				denied(t, user, client, command...)
				denied(t, user, client, append([]any{"evalsha", reach, 0}, command...)...)
				denied(t, user, client, append([]any{"evalsha", reach, 1, key}, command...)...)
			}
		}
		for _, command := range [][]any{
			{"keys", "*"}, {"scan", "0"}, {"randomkey"}, {"dbsize"}, {"flushall"}, {"flushdb"}, {"swapdb", 0, 1}, {"select", 1},
			{"config", "get", "*"}, {"config", "set", "maxmemory", "1"}, {"debug", "sleep", "0"}, {"shutdown"}, {"save"}, {"bgsave"},
			{"acl", "list"}, {"acl", "setuser", user, "+@all"}, {"acl", "whoami"}, {"client", "list"}, {"client", "kill", "type", "normal"},
			{"client", "pause", 1}, {"monitor"}, {"replicaof", "no", "one"}, {"cluster", "info"}, {"slowlog", "get"}, {"latency", "latest"},
			{"script", "flush"}, {"script", "kill"}, {"function", "list"}, {"function", "flush"}, {"eval", "return 1", 0},
			{"module", "list"}, {"memory", "stats"}, {"publish", "c", "x"}, {"subscribe", "c"}, {"multi"}, {"failover"},
			{"psync", "?", "-1"}, {"migrate", "127.0.0.1", "1", "session:1", 0, 1}, {"command", "count"},
		} {
			denied(t, user, client, command...)
		}
	}
	for key, value := range keysOf(t, admin) {
		if before[key] != value {
			t.Errorf("%s has changed", key)
		}
	}

	// And by the library: an app that the user is not for.
	for user, app := range map[string]string{"shop": "shop2", "shop2": "shop", "sho": "shop", "sh*p": "shop"} {
		reg := shoal.New()
		if err := reg.Connect(server.Client(t, as(user)), shoal.Opts{OnError: quiet, App: app}); err != nil {
			t.Fatal(err)
		}
		reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
		if err := shortly(reg.Flush); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("the user %s writes to %s: %v", user, app, err)
		}
		if _, err := reg.Gather(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("the user %s reads %s: %v", user, app, err)
		}
		_ = shortly(reg.Close)
	}
}

// denied fails the test unless the server refuses a command for want of rights.
func denied(t *testing.T, user string, client *redis.Client, command ...any) {
	t.Helper()
	err := client.Do(t.Context(), command...).Err()
	if err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "The user executing the script can't") {
		t.Errorf("%s may %v: %v", user, command, err)
	}
}

// keysOf reads every key of the server and what it holds.
func keysOf(t *testing.T, admin *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range admin.Keys(t.Context(), "*").Val() {
		all[key] = admin.Dump(t.Context(), key).Val()
	}
	return all
}

// Without INFO and WAIT, which tell of failovers, everything else goes on.
func TestDocs_WithoutInfoAndWaitCountingScrapingAndClosingGoOn(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin)
	for _, user := range []string{"shop", "shop-exporter"} {
		if err := admin.Do(t.Context(), "acl", "setuser", user, "-info", "-wait").Err(); err != nil {
			t.Fatal(err)
		}
	}
	reg := shoal.New()
	if err := reg.Connect(server.Client(t, as("shop")), shoal.Opts{OnError: quiet, App: "shop", LeaseDuration: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	c := reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
	c.Inc()
	if total, err := c.AddSync(t.Context(), 2); err != nil || total != 3 {
		t.Errorf("%v, %v", total, err)
	}
	exporter := shoal.New()
	if err := exporter.Connect(server.Client(t, as("shop-exporter")), shoal.Opts{OnError: quiet, App: "shop", ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*shoal.Registry{reg, exporter} {
		if page := scrape(t, r); !strings.Contains(page, "c_total 3\n") || !strings.Contains(page, "shoal_instances 1\n") {
			t.Errorf("the page is\n%s", page)
		}
	}
	c.Inc()
	for _, r := range []*shoal.Registry{reg, exporter} {
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if v := admin.HGet(t.Context(), "shoal:1:{shop/c_total}:v", "").Val(); v != "4" {
		t.Errorf("after Close Redis has %q, want 4", v)
	}
}
