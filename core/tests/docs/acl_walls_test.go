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
		pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(app)
		rules := strings.NewReplacer("{shop}", "{"+pattern+"}", "{shop/", "{"+pattern+"/").Replace(b.text)
		setUser(t, admin, append([]string{app}, strings.Fields(rules)[2:]...)...)
		return
	}
	t.Fatal("docs/redis.md has no user shop")
}

// The users can't reach other apps, other keys, or any command that shoal does not need, also not
// in a script.
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
		counts(t, connect(t, server.Client(t, as(app)), shoal.Opts{App: app}))
	}
	must(t, admin.Set(ctx, "session:1", "x", 0).Err())
	// Other keys, by any command that a user has, and by any script.
	reach, err := admin.ScriptLoad(ctx, "return redis.call(ARGV[1], unpack(ARGV, 2))").Result()
	must(t, err)
	before := keysOf(t, admin)
	for _, user := range []string{"shop", "shop-exporter", "shop2", "sho", "sh*p"} {
		client := server.Client(t, as(user))
		keys := []string{"session:1", "shoal:1:{other}:leases"}
		for _, app := range apps {
			if app != strings.TrimSuffix(user, "-exporter") {
				tag := "shoal:1:{" + app
				keys = append(keys, tag+"/c_total}:ctl", tag+"/c_total}:v", tag+"/c_total}:m", tag+"}:families", tag+"}:leases", tag+"}:g:x")
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

	// And by the library: a user of another app, or one that may only read.
	for user, app := range map[string]string{"shop": "shop2", "shop2": "shop", "sho": "shop", "sh*p": "shop", "shop-exporter": "shop"} {
		reg := connect(t, server.Client(t, as(user)), shoal.Opts{App: app})
		reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
		if err := shortly(reg.Flush); !noRight(err) {
			t.Errorf("the user %s writes to %s: %v", user, app, err)
		}
		if _, err := reg.Gather(); user != "shop-exporter" && !noRight(err) {
			t.Errorf("the user %s reads %s: %v", user, app, err)
		}
		_ = shortly(reg.Close)
	}
}

// denied fails the test unless the server refuses a command with NOPERM.
func denied(t *testing.T, user string, client *redis.Client, command ...any) {
	t.Helper()
	err := client.Do(t.Context(), command...).Err()
	if !noRight(err) {
		t.Errorf("%s may %v: %v", user, command, err)
	}
}

// noRight says whether the server refused with NOPERM.
func noRight(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "The user executing the script can't"))
}

// keysOf returns every key of the server, with its contents.
func keysOf(t *testing.T, admin *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range admin.Keys(t.Context(), "*").Val() {
		all[key] = admin.Dump(t.Context(), key).Val()
	}
	return all
}

// Without the rights to INFO and WAIT, by which processes notice failovers, everything else works.
func TestDocs_WithoutInfoAndWaitCountingScrapingAndClosingGoOn(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin, "-info", "-wait")
	reg := connect(t, server.Client(t, as("shop")), shoal.Opts{App: "shop", LeaseDuration: 300 * time.Millisecond})
	c := reg.NewCounter(shoal.CounterOpts{Name: "c_total"})
	c.Inc()
	if total, err := c.AddSync(t.Context(), 2); err != nil || total != 3 {
		t.Errorf("%v, %v", total, err)
	}
	exporter := connect(t, server.Client(t, as("shop-exporter")), shoal.Opts{App: "shop", ReadOnly: true})
	for _, r := range []*shoal.Registry{reg, exporter} {
		if page := scrape(t, r); !strings.Contains(page, "c_total 3\n") || !strings.Contains(page, "shoal_instances 1\n") {
			t.Errorf("the page is\n%s", page)
		}
	}
	c.Inc()
	for _, r := range []*shoal.Registry{reg, exporter} {
		must(t, r.Close(t.Context()))
	}
	if v := admin.HGet(t.Context(), "shoal:1:{shop/c_total}:v", "").Val(); v != "4" {
		t.Errorf("after Close Redis has %q, want 4", v)
	}
}
