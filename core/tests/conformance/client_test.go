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

// The pitfalls of go-redis for single calls. Those that concern a whole application
// are in core/tests/behaviour.

// TestRESP2 runs the suite with RESP2. All other tests use RESP3, the client's default.
func TestRESP2(t *testing.T) {
	t.Parallel()
	RunRedis(t, redistest.Start(t).Client(t, func(o *redis.Options) { o.Protocol = 2 }), nil)
}

// eager are clients of all kinds that retry as often as they can.
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

// Whatever the client's settings, no client sends a batch again by itself: the writer gets
// the error first.
func TestCommit_NoClientSendsABatchASecondTime(t *testing.T) {
	for kind, connect := range eager {
		for trouble, c := range map[string]struct {
			script  func(int, *server.Peer)
			refused bool
		}{
			"the connection is cut":  {hangsUp, false},
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
				x := startScripted(t, c.script)
				client := connect(x.addr)
				defer func() { _ = client.Close() }()
				var got []wire.CommitReply
				eventually(t, "the client connects, for which a busy machine may be too slow", func() bool {
					got = send(t, client, step("g", 1), step("g", 2), step("g", 3))
					return len(x.batches()) > 0
				})
				for i, r := range got {
					if r.Err == nil || wire.Refused(r.Err) != c.refused {
						t.Errorf("batch %d: %+v; refused: %v, want %v", i+1, r, !c.refused, c.refused)
					}
				}
				sent := x.batches()
				if !strings.HasPrefix("1 2 3", strings.Join(sent, " ")) {
					t.Errorf("the server was sent the batches %v", sent)
				}
			})
		}
	}
}

// A batch that was redirected and then lost is in doubt, although its error is still the
// redirection.
func TestCommit_LostAfterARedirectionIsInDoubt(t *testing.T) {
	for _, how := range []string{"MOVED", "ASK"} {
		t.Run(how, func(t *testing.T) {
			target := startScripted(t, func(n int, p *server.Peer) {
				if n > 1 {
					p.Close()
					return
				}
				applied(n, p)
				p.Flush()
			})
			source := startScripted(t, replies(how+" 1 "+target.addr))
			client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{source.addr}})
			defer func() { _ = client.Close() }()
			got := send(t, client, step("g", 1), step("g", 2), step("g", 3))
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

// look asks for the bytes of every argument.
func look(cmds []redis.Cmder) {
	for _, c := range cmds {
		for _, arg := range c.Args() {
			if m, ok := arg.(encoding.BinaryMarshaler); ok {
				_, _ = m.MarshalBinary()
			}
		}
	}
}

// An application's hook may send a batch twice; then the refusal of the second attempt does
// not mean that the first was not executed. A hook that only reads the arguments does not put
// a refusal in doubt. If it reads them after the call, that looks like a second attempt; the
// server's reply is still known.
func TestCommit_HooksHideNoDoubt(t *testing.T) {
	const readOnly = "READONLY You can't write against a read only replica."
	first := func(first func(int, *server.Peer)) func(int, *server.Peer) { // later calls are refused
		return func(n int, p *server.Peer) {
			if n == 1 {
				first(n, p)
				return
			}
			p.WriteError(readOnly)
		}
	}
	again := func(clears bool) pipelineHook {
		return func(cmds []redis.Cmder, next func() error) error {
			err := next()
			if err == nil {
				return nil
			}
			for _, c := range cmds {
				if clears {
					c.SetErr(nil)
				}
			}
			return next()
		}
	}
	for name, test := range map[string]struct {
		script  func(int, *server.Peer)
		hook    pipelineHook
		sent    int
		refused bool
	}{
		"tries again":                      {first(hangsUp), again(false), 2, false},
		"tries again, with errors cleared": {first(hangsUp), again(true), 2, false},
		"sends twice": {first(applied), func(_ []redis.Cmder, next func() error) error {
			_ = next()
			return next()
		}, 2, false},
		"looks before": {replies(readOnly), func(cmds []redis.Cmder, next func() error) error {
			look(cmds)
			return next()
		}, 1, true},
		"looks after": {replies(readOnly), func(cmds []redis.Cmder, next func() error) error {
			defer look(cmds)
			return next()
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := startScripted(t, test.script)
			client := redis.NewClient(&redis.Options{Addr: x.addr})
			defer func() { _ = client.Close() }()
			client.AddHook(test.hook)
			r := send(t, client, step("g", 1))[0]
			if r.Err == nil || wire.Refused(r.Err) != test.refused || test.sent == 1 && wire.ReplyCode(r.Err) != "READONLY" {
				t.Errorf("%+v; refused: %v, want %v", r, wire.Refused(r.Err), test.refused)
			}
			if sent := x.batches(); len(sent) != test.sent {
				t.Errorf("the server was sent the batches %v, want %d", sent, test.sent)
			}
		})
	}
}

// A batch that was never sent is refused and not in doubt, whatever the reason.
func TestCommit_WhatWasNeverSentIsRefused(t *testing.T) {
	x := startScripted(t, applied)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
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
			store := wire.NewRedis(client, "shop")
			if _, err := store.ReadApp(ctx); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("reading: %v, want %q", err, test.says)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond) // the reading may have tried till its end
			defer cancel()
			for _, r := range store.Commit(ctx, []wire.Commit{step("g", 1), step("g", 2)}) {
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

// send sends batches by a client on a new store.
func send(t *testing.T, client redis.UniversalClient, commits ...wire.Commit) []wire.CommitReply {
	t.Helper()
	return wire.NewRedis(client, "shop").Commit(t.Context(), commits)
}

// takeConnection takes the pool's only connection for good.
func takeConnection(client *redis.Client) {
	_ = client.Conn().Select(context.Background(), 0).Err()
}

type breaker struct{}

func (breaker) Allow() error       { return errors.New("the circuit is open") }
func (breaker) ReportResult(error) {}
