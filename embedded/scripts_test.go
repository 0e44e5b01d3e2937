// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/embedded"
)

// patience is a small multiple of the time that a script may take.
const patience = 30 * time.Second

// patient is a client that waits for its answer, and asks once.
func patient(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, ReadTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// hostile are scripts that would run for ever, wait for ever, end the process or read its
// files.
var hostile = map[string]string{
	"a loop":                   `while true do end`,
	"a loop that writes":       `while true do redis.call('INCR', 'n') end`,
	"a loop around errors":     `while true do pcall(function() while true do redis.call('nonsense') end end) end`,
	"errors within errors":     `local function f() while true do pcall(f) end end while true do pcall(f) end`,
	"a loop in a coroutine":    `coroutine.wrap(function() while true do end end)()`,
	"a count":                  `for i = 1, 1e18 do end`,
	"a jump":                   `::again:: goto again`,
	"a costly pattern":         `return string.find(string.rep('a', 200), string.rep('a-', 5) .. 'b')`,
	"recursion":                `local function f() return 1 + f() end return f()`,
	"tail recursion":           `local function f() return f() end return f()`,
	"standard input":           `return loadfile()()`,
	"standard input by name":   `return dofile('/dev/stdin')`,
	"a file without end":       `return dofile('/dev/zero')`,
	"a name put together":      `return _G['do' .. 'file']('/dev/zero')`,
	"a name in a table":        `for k, v in pairs(_G) do if k == 'load' .. 'file' then return v('/dev/zero') end end error('none')`,
	"a module":                 `package.path = '/dev/zero' return require('x')`,
	"another environment":      `return getfenv(0).dofile('/dev/zero')`,
	"a long text":              `return #string.rep('x', 1e10)`,
	"a longer text":            `return #(('x'):rep(1e18))`,
	"a table within itself":    `local t = {} t[1] = t return t`,
	"a table many times":       `local t = {} for i = 1, 90 do t = {t, t} end return t`,
	"many values":              `return unpack({}, 1, 1e9)`,
	"a wait":                   `return redis.call('BLPOP', 'nothing', 0)`,
	"a wait for a stream":      `return redis.call('XREAD', 'BLOCK', 0, 'STREAMS', 'nothing', '$')`,
	"a subscription":           `return redis.call('SUBSCRIBE', 'x')`,
	"a transaction":            `return redis.call('MULTI')`,
	"a script within":          `return redis.call('EVAL', 'while true do end', 0)`,
	"very deep nesting":        `return ` + strings.Repeat("(", 1e7) + `1` + strings.Repeat(")", 1e7),
	"text that is compiled":    `return loadstring('return 1')()`,
	"output":                   `print('hostile') error('none')`,
	"nothing that is Lua":      `]]`,
	"a function as the result": `return {print = 1, f = function() end, function() end} .. 1`,
}

// Whatever a script does, other clients soon get their answers, and the process lives.
func TestScripts_NoneHangsTheServer(t *testing.T) {
	for name, script := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most take all their time
			server := start(t)
			ctx, client := context.Background(), patient(t, server)
			ended := make(chan error, 1)
			go func() { ended <- client.Eval(ctx, script, nil).Err() }()
			for range 3 {
				if err := patient(t, server).Set(ctx, "k", "v", 0).Err(); err != nil {
					t.Errorf("another client gets %v", err)
				}
			}
			if err := <-ended; err == nil {
				t.Error("the script succeeded")
			} else if strings.Contains(err.Error(), "timeout") {
				t.Errorf("the script hangs: %v", err)
			}
			if err := client.Eval(ctx, `return redis.call('GET', 'k')`, nil).Err(); err != nil {
				t.Errorf("the next script gets %v", err)
			}
		})
	}
}

func TestClose_EndsScriptsThatHaveNoEnd(t *testing.T) {
	server := start(t)
	ctx, client := context.Background(), patient(t, server)
	running := client.Subscribe(ctx, "running")
	t.Cleanup(func() { _ = running.Close() })
	if _, err := running.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := client.Eval(ctx, `redis.call('PUBLISH', 'running', '') while true do end`, nil).Err(); err == nil {
				t.Error("the script succeeded")
			}
		})
	}
	if _, err := running.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	server.Close()
	if took := time.Since(begin); took > patience/10 { // less than one of them may take
		t.Errorf("Close took %v", took)
	}
	group.Wait()
}

// What scripts of applications rely on works as in Redis.
func TestScripts_DoWhatRedisDoes(t *testing.T) {
	server := start(t)
	ctx, client := context.Background(), patient(t, server)
	if err := client.Set(ctx, "x", 5, 0).Err(); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		`return 1`:                                      "1",
		`return 3.9`:                                    "3",
		`return 'text'`:                                 "text",
		`return {1, 'a', {2, 'b'}, nil, 3}`:             "[1 a [2 b]]",
		`return true`:                                   "1",
		`return false`:                                  "redis: nil",
		`return nil`:                                    "redis: nil",
		`return {}`:                                     "[]",
		`return {ok = 'FINE'}`:                          "FINE",
		`return {err = 'MINE it is'}`:                   "MINE it is",
		`return redis.error_reply('MINE it is')`:        "MINE it is",
		`return redis.error_reply('mine')`:              "ERR mine",
		`return redis.status_reply('FINE')`:             "FINE",
		`return redis.sha1hex('')`:                      "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		`return KEYS[1] .. ARGV[1] .. #KEYS .. #ARGV`:   "ka12",
		`return redis.call('SET', 'y', 5)`:              "OK",
		`return redis.call('GET', 'x')`:                 "5",
		`return redis.call('GET', 'none') == false`:     "1",
		`return redis.call('set', 'y', 1.5)`:            "OK",
		`return type(redis.pcall('LPUSH', 'x', 1).err)`: "string",
		`return redis.pcall('LPUSH', 'x', 1)`:           "WRONGTYPE Operation against a key holding the wrong kind of value",
		`return pcall(redis.call, 'LPUSH', 'x', 1)`:     "redis: nil",
		`return redis.call('LPUSH', 'x', 1)`:            "WRONGTYPE Operation against a key holding the wrong kind of value",
		`error('mine')`:                                 "ERR Error running script: user_script:1: mine",
		`y = 1`:                                         "ERR Error running script: user_script:1: Attempt to modify a readonly table",
		`return y`:                                      "ERR Error running script: user_script:1: Script attempted to access nonexistent global variable 'y'",
		`return redis.pcall('nonsense').err`:            "ERR Unknown Redis command called from script",
		`return cjson.encode({1, 2})`:                   "[1,2]",
		`return cjson.decode('{"a": 7}').a`:             "7",
		`return ('ab'):rep(3)`:                          "ababab",
		`return tostring(redis.call('TIME')[1] ~= nil)`: "true",
	} {
		got, err := client.Eval(ctx, script, []string{"k"}, "a", "b").Result()
		text := fmt.Sprint(got)
		if err != nil {
			text = err.Error()
		}
		if text != want {
			t.Errorf("%s: %s, want %s", script, text, want)
		}
	}
}

func TestScripts_AreKeptByTheirNames(t *testing.T) {
	server := start(t)
	ctx, client := context.Background(), patient(t, server)
	script := redis.NewScript(`return redis.call('INCR', KEYS[1])`)
	if err := script.EvalSha(ctx, client, []string{"n"}).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.Errorf("of a script that it does not know it says %v", err)
	}
	if sha, err := script.Load(ctx, client).Result(); err != nil || sha != script.Hash() {
		t.Errorf("loaded as %q, %v, want %q", sha, err, script.Hash())
	}
	if n, err := script.EvalSha(ctx, client, []string{"n"}).Int(); err != nil || n != 1 {
		t.Errorf("got %v, %v", n, err)
	}
	other := redis.NewScript(`return redis.call('INCR', KEYS[1]) -- by EVAL`)
	if err := other.Eval(ctx, client, []string{"n"}).Err(); err != nil {
		t.Error(err)
	}
	if known, err := client.ScriptExists(ctx, script.Hash(), other.Hash(), "none").Result(); err != nil || fmt.Sprint(known) != "[true true false]" {
		t.Errorf("it knows %v, %v", known, err)
	}
	if err := client.ScriptFlush(ctx).Err(); err != nil {
		t.Error(err)
	}
	if err := script.EvalSha(ctx, client, []string{"n"}).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.Errorf("after a flush it says %v", err)
	}
	if err := client.EvalRO(ctx, `return redis.call('INCR', 'n')`, nil).Err(); err == nil {
		t.Error("a read-only script wrote")
	}
	if n, err := client.EvalRO(ctx, `return redis.call('GET', 'n')`, nil).Int(); err != nil || n != 2 {
		t.Errorf("a read-only script got %v, %v", n, err)
	}
}

// Other clients see a script as one step. It works in the database of its client.
func TestScripts_AreAtomic(t *testing.T) {
	server := start(t)
	ctx := context.Background()
	var group sync.WaitGroup
	for i := range 4 {
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), DB: 3})
		t.Cleanup(func() { _ = client.Close() })
		group.Go(func() {
			for range 100 {
				var err error
				if i%2 == 0 {
					err = client.Eval(ctx, `
						local n = redis.call('GET', KEYS[1]) or 0
						for i = 1, 100 do redis.call('GET', KEYS[1]) end
						return redis.call('SET', KEYS[1], n + 1)`, []string{"n"}).Err()
				} else {
					_, err = client.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.Incr(ctx, "n")
						p.Decr(ctx, "n")
						return p.Incr(ctx, "n").Err()
					})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DB: 3})
	t.Cleanup(func() { _ = client.Close() })
	if n, err := client.Get(ctx, "n").Int(); err != nil || n != 400 {
		t.Errorf("got %v, %v; want 400", n, err)
	}
	if _, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		return p.Eval(ctx, "return 1", nil).Err()
	}); !redis.HasErrorPrefix(err, "EXECABORT") {
		t.Errorf("of a script in a transaction it says %v", err)
	}
}
