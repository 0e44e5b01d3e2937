// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The traps of go-redis, on the level of single calls. Those that concern a
// whole application are in core/tests/behaviour.

// TestRESP2 runs all rules on the older form of the protocol. All other tests
// speak RESP3, the client's default.
func TestRESP2(t *testing.T) {
	RunRedis(t, redistest.Shared(t).Client(t, func(o *redis.Options) { o.Protocol = 2 }), nil)
}

// eager are clients of all kinds that try again as often as they may.
var eager = map[string]func(addr string) redis.UniversalClient{
	"single": func(addr string) redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: addr, MaxRetries: 3, ReadTimeout: 50 * time.Millisecond})
	},
	"Sentinel": func(addr string) redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{addr}, MaxRetries: 3, ReadTimeout: 50 * time.Millisecond,
		})
	},
	"Cluster": func(addr string) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: []string{addr}, MaxRedirects: 3, MaxRetries: 3, ReadTimeout: 50 * time.Millisecond,
		})
	},
	"Sentinel as Cluster": func(addr string) redis.UniversalClient { // as NewFailoverClusterClient makes it
		return redis.NewClusterClient(&redis.ClusterOptions{
			MaxRedirects: 3, ReadTimeout: 50 * time.Millisecond, RouteRandomly: true,
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addr}}}}, nil
			},
		})
	},
}

// Whatever the client's settings: what a server received once, it does not
// receive again before the writer has heard of it.
func TestCommit_NoClientSendsABatchASecondTime(t *testing.T) {
	for kind, connect := range eager {
		for trouble, c := range map[string]struct {
			script  func(int, *server.Peer)
			refused bool
		}{
			"the line is cut":        {hangsUp, false},
			"there is no answer":     {func(int, *server.Peer) {}, false},
			"LOADING":                {replies("LOADING Redis is loading the dataset in memory"), true},
			"READONLY":               {replies("READONLY You can't write against a read only replica."), true},
			"CLUSTERDOWN":            {replies("CLUSTERDOWN The cluster is down"), true},
			"TRYAGAIN":               {replies("TRYAGAIN Multiple keys request during rehashing of slot"), true},
			"MASTERDOWN":             {replies("MASTERDOWN Link with MASTER is down"), true},
			"too many clients":       {replies("ERR max number of clients reached"), true},
			"not enough of replicas": {replies("NOREPLICAS Not enough good replicas to write."), true},
		} {
			t.Run(kind+"/"+trouble, func(t *testing.T) {
				t.Parallel()
				x := startToxic(t, c.script)
				client := connect(x.addr)
				defer func() { _ = client.Close() }()
				for i, r := range commit(t, wire.NewRedis(client, "shop"), step("g", 1), step("g", 2), step("g", 3)) {
					if r.Err == nil || wire.Refused(r.Err) != c.refused {
						t.Errorf("batch %d: %+v; refused: %v, want %v", i+1, r, !c.refused, c.refused)
					}
				}
				sent := x.batches()
				if len(sent) == 0 || !strings.HasPrefix("1 2 3", strings.Join(sent, " ")) {
					t.Errorf("the server was sent the batches %v", sent)
				}
			})
		}
	}
}

// A batch that was redirected and then lost is in doubt, though its error is
// still that of the redirection.
func TestCommit_LostAfterARedirectionIsInDoubt(t *testing.T) {
	for _, how := range []string{"MOVED", "ASK"} {
		t.Run(how, func(t *testing.T) {
			target := startToxic(t, func(n int, p *server.Peer) {
				if n > 1 {
					p.Close()
					return
				}
				applied(n, p)
				p.Flush()
			})
			source := startToxic(t, replies(how+" 1 "+target.addr))
			client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{source.addr}})
			defer func() { _ = client.Close() }()
			got := commit(t, wire.NewRedis(client, "shop"), step("g", 1), step("g", 2), step("g", 3))
			if got[0].Status != wire.CommitOK {
				t.Errorf("the first, which was answered: %+v", got[0])
			}
			for _, r := range got[1:] {
				if r.Err == nil || wire.Refused(r.Err) || wire.Answered(r.Err) {
					t.Errorf("%+v, want in doubt", r)
				}
			}
			if sent := target.batches(); len(sent) < 2 || !strings.HasPrefix("1 2 3", strings.Join(sent, " ")) {
				t.Errorf("the server was sent the batches %v", sent)
			}
		})
	}
}

// An application's hook may try again what failed. The refusal of its second
// attempt does not say that the first was not executed.
func TestCommit_AHookThatTriesAgainDoesNotHideTheDoubt(t *testing.T) {
	for name, resets := range map[string]bool{"as it is": false, "with the errors cleared": true} {
		t.Run(name, func(t *testing.T) {
			x := startToxic(t, func(n int, p *server.Peer) {
				if n == 1 {
					p.Close()
					return
				}
				p.WriteError("READONLY You can't write against a read only replica.")
			})
			client := redis.NewClient(&redis.Options{Addr: x.addr})
			defer func() { _ = client.Close() }()
			client.AddHook(again{resets})
			r := commit(t, wire.NewRedis(client, "shop"), step("g", 1))[0]
			if r.Err == nil || wire.Refused(r.Err) {
				t.Errorf("%+v, want in doubt", r)
			}
			if sent := x.batches(); len(sent) != 2 {
				t.Errorf("the server was sent the batches %v: the test tests nothing", sent)
			}
		})
	}
}

// A hook that only looks at the arguments does not put a refusal in doubt. Where
// it looks afterwards, that can't be told from a second attempt: the batch is in
// doubt then, and what the server said is still known.
func TestCommit_AHookThatLooksLeavesARefusalWhatItIs(t *testing.T) {
	for name, test := range map[string]struct {
		hook    looking
		refused bool
	}{
		"before": {looking{before: true}, true},
		"after":  {looking{after: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := startToxic(t, replies("READONLY You can't write against a read only replica."))
			client := redis.NewClient(&redis.Options{Addr: x.addr})
			defer func() { _ = client.Close() }()
			client.AddHook(test.hook)
			r := commit(t, wire.NewRedis(client, "shop"), step("g", 1))[0]
			if r.Err == nil || wire.Refused(r.Err) != test.refused || wire.ReplyCode(r.Err) != "READONLY" {
				t.Errorf("%+v; refused: %v, want %v", r, wire.Refused(r.Err), test.refused)
			}
			if sent := x.batches(); len(sent) != 1 {
				t.Errorf("the server was sent the batches %v", sent)
			}
		})
	}
}

// looking is a hook that asks for the bytes of every argument.
type looking struct{ before, after bool }

func (looking) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (looking) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (l looking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	look := func(cmds []redis.Cmder) {
		for _, c := range cmds {
			for _, arg := range c.Args() {
				if m, ok := arg.(encoding.BinaryMarshaler); ok {
					_, _ = m.MarshalBinary()
				}
			}
		}
	}
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if l.before {
			look(cmds)
		}
		err := next(ctx, cmds)
		if l.after {
			look(cmds)
		}
		return err
	}
}

// An application's hook that sends everything twice: the refusal of the second
// attempt does not say that the first was not executed.
func TestCommit_ARefusalAfterASuccessIsInDoubt(t *testing.T) {
	x := startToxic(t, func(n int, p *server.Peer) {
		if n == 1 {
			applied(n, p)
			return
		}
		p.WriteError("READONLY You can't write against a read only replica.")
	})
	client := redis.NewClient(&redis.Options{Addr: x.addr})
	defer func() { _ = client.Close() }()
	client.AddHook(twice{})
	if r := commit(t, wire.NewRedis(client, "shop"), step("g", 1))[0]; r.Err == nil || wire.Refused(r.Err) {
		t.Errorf("%+v, want in doubt", r)
	}
}

// twice is a hook that sends every pipeline twice.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		_ = next(ctx, cmds)
		return next(ctx, cmds)
	}
}

// again is a hook that tries every pipeline twice.
type again struct{ resets bool }

func (again) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (again) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (a again) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		if a.resets {
			for _, c := range cmds {
				c.SetErr(nil)
			}
		}
		return next(ctx, cmds)
	}
}

// What never left the process is refused and not in doubt, for whatever
// reason it did not.
func TestCommit_WhatWasNeverSentIsRefused(t *testing.T) {
	x := startToxic(t, applied)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, test := range map[string]struct {
		options  redis.Options
		prepare  func(*redis.Client)
		says     string
		answered bool
	}{
		"the application has all connections": {
			redis.Options{Addr: x.addr, PoolSize: 1, PipelinePoolSize: -1, PoolTimeout: 10 * time.Millisecond},
			takeConnection, "pool timeout", false,
		},
		"the deadline ends before the pool's": {
			redis.Options{Addr: x.addr, PoolSize: 1, PipelinePoolSize: -1},
			takeConnection, "deadline exceeded", false,
		},
		"a connection gets no greeting": {
			redis.Options{Addr: silent.Addr().String(), ReadTimeout: 20 * time.Millisecond, DialerRetries: 1},
			nil, "timeout", false,
		},
		"the server refuses the greeting": {
			redis.Options{Addr: redistest.Shared(t).Addr, Username: "nobody", Password: "wrong"}, nil, "WRONGPASS", true,
		},
		"nobody listens": {
			redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1, MaxRetries: -1}, nil, "refused", false,
		},
		"a circuit breaker is open": {
			redis.Options{Addr: x.addr, Limiter: breaker{}}, nil, "the circuit is open", false,
		},
		"the client is closed": {
			redis.Options{Addr: x.addr}, func(c *redis.Client) { _ = c.Close() }, "client is closed", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&test.options)
			defer func() { _ = client.Close() }()
			if test.prepare != nil {
				test.prepare(client)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			for _, r := range wire.NewRedis(client, "shop").Commit(ctx, []wire.Commit{step("g", 1), step("g", 2)}) {
				if r.Err == nil || !wire.Refused(r.Err) || wire.Answered(r.Err) != test.answered {
					t.Errorf("%+v, want refused, by an answer: %v", r, test.answered)
				} else if !strings.Contains(r.Err.Error(), test.says) {
					t.Errorf("the error is %v, want one that says %q", r.Err, test.says)
				}
			}
		})
	}
	if sent := x.batches(); len(sent) != 0 {
		t.Errorf("the server was sent the batches %v", sent)
	}
}

// takeConnection takes the pool's only connection for good.
func takeConnection(client *redis.Client) {
	_ = client.Conn().Select(context.Background(), 0).Err()
}

type breaker struct{}

func (breaker) Allow() error       { return errors.New("the circuit is open") }
func (breaker) ReportResult(error) {}
