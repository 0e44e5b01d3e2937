// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"context"
	"io"
	"net"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// FuzzConn_NothingThatAServerSaysEndsTheProcess gives to a client, and so to
// everything that shoal asks, the same answer: instead of the greeting, or behind it.
func FuzzConn_NothingThatAServerSaysEndsTheProcess(f *testing.F) {
	hows := []byte{0, 1, 2, 3}
	if testing.Short() {
		hows = hows[3:]
	}
	for _, said := range []string{
		"*1000000000\r\n", "$999999999999\r\n", "=536870912\r\nx", "%99999999\r\n", "~99999999\r\n",
		strings.Repeat("*1\r\n", 100_000), strings.Repeat("%1\r\n+k\r\n", 10_000),
		"-" + strings.Repeat("e", 100_000), strings.Repeat("|1\r\n+k\r\n+v\r\n", 1000) + "+OK\r\n", strings.Repeat(">1\r\n+m\r\n", 1000),
		"*4\r\n$1\r\n1\r\n$1\r\n2\r\n*1\r\n+orders_total\r\n*2\r\n$3\r\ni:0\r\n$30\r\nw 99999999999999 l h v 1 15000 \r\n",
		"*4\r\n*0\r\n%1\r\n+a\r\n+b\r\n:1\r\n-ERR x\r\n", "*5\r\n:0\r\n+\r\n$1\r\n1\r\n$1\r\n1\r\n:0\r\n",
		"*2\r\n$2\r\nOK\r\n$1\r\n1\r\n", "*4\r\n+OK\r\n+1\r\n:0\r\n:0\r\n", "*2\r\n+GAP\r\n+18446744073709551615\r\n", "*1\r\n+UNKNOWN\r\n",
		"*2\r\n$1\r\n7\r\n*2\r\n+f\r\n+1\r\n", "*3\r\n+1\r\n+2\r\n*2\r\n+g\r\n+1 99999999999999\r\n",
		"%2\r\n*0\r\n+v\r\n+k\r\n-ERR y\r\n", "%1\r\n-ERR z\r\n*1\r\n$3\r\nabc\r\n", "_\r\n", ",nan\r\n", ",1e999\r\n", "#t\r\n", "(123\r\n",
		"-MOVED 1 127.0.0.1:1\r\n", "-ASK 1 :\r\n", "-MOVED \r\n", "-NOSCRIPT x\r\n", "-LOADING x\r\n", "-NOAUTH x\r\n",
		"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n+h\r\n:1\r\n+id\r\n", "*1\r\n*6\r\n+get\r\n:-128\r\n*0\r\n:127\r\n:0\r\n:0\r\n", "*0\r\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n", "+\r\n", "\r\n", "+OK\n", "*2\r\n$70000\r\n" + strings.Repeat("v", 70000) + "\r\n:1\r\n",
	} {
		for _, how := range hows {
			f.Add([]byte(said), how)
		}
	}
	redis.SetLogger(silent{})
	f.Fuzz(func(t *testing.T, said []byte, how byte) {
		begun, before := time.Now(), allocated()
		ask(t, said, how&1 != 0, how&2 != 0)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		// Some 30 questions on a connection each, whose buffers take 64 KiB.
		if took := allocated() - before; took > 100*uint64(len(said))+2<<30 {
			t.Errorf("%d bytes made it take %d MB", len(said), took>>20)
		}
	})
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// ask asks all that shoal asks, of a server or a Cluster.
func ask(t *testing.T, said []byte, greets, cluster bool) {
	limits := &guard.Limits{}
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			request := make([]byte, 64<<10)
			for greeted := false; ; greeted = true {
				if _, err := theirs.Read(request); err != nil {
					return
				}
				answer := said
				if greets && !greeted {
					answer = []byte("-ERR unknown command\r\n")
				}
				if _, err := theirs.Write(answer); err != nil {
					return
				}
				if !greets || greeted {
					return
				}
			}
		}()
		return guard.New(ours, "h:1", limits, nil), nil
	}
	const timeout = 30 * time.Millisecond
	var client redis.UniversalClient
	if cluster {
		limits.Redirect = func(string) bool { return true }
		client = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: []string{"h:1"}, Dialer: dial, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
			DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PipelinePoolSize: -1,
		})
	} else {
		client = redis.NewClient(&redis.Options{
			Addr: "h:1", Dialer: dial, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
			DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PipelinePoolSize: -1,
		})
	}
	store := wire.NewRedis(client, "shop")
	store.Guarded = true
	for _, question := range []func(context.Context){
		func(ctx context.Context) { _, _ = store.Lineage(ctx) },
		func(ctx context.Context) { _, _ = store.ReadApp(ctx) },
		func(ctx context.Context) {
			_, _ = store.ReadHead(ctx, wire.AppState{Families: []string{"a"}, Leases: []wire.Lease{{Writer: "w"}}})
		},
		func(ctx context.Context) { _, _ = store.ReadFamilies(ctx, []string{"a"}) },
		func(ctx context.Context) { _, _ = store.ScanSeries(ctx, "a", wire.MaxPage) },
		func(ctx context.Context) { _, _ = store.ReadGauges(ctx, []string{"w"}) },
		func(ctx context.Context) {
			_, _, _ = store.ReadSeries(ctx, []wire.SeriesQuery{{Family: "a", Fields: []string{"", "x\xff1"}}}, wire.MaxPage)
		},
		func(ctx context.Context) {
			_, _ = store.Hold(ctx, wire.HoldRequest{Writer: "w", Index: wire.NoIndex, Wanted: wire.NoIndex})
		},
		func(ctx context.Context) { _ = store.Register(ctx, []wire.Registration{{Family: "a", Writer: "w"}}) },
		func(ctx context.Context) {
			_ = store.Commit(ctx, []wire.Commit{{Family: "a", Seq: 1, Totals: true, Ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}}}})
		},
		func(ctx context.Context) { _ = store.WriteGauges(ctx, []wire.GaugeWrite{{Writer: "w"}}) },
		func(ctx context.Context) { _ = store.Release(ctx, "w", 0) },
		func(ctx context.Context) { _, _ = store.Housekeep(ctx, time.Hour, time.Hour) },
		func(ctx context.Context) {
			_, _ = store.AwaitReplicas(ctx, []wire.Commit{{Family: "a", Seq: 1, Prev: 1}}, time.Millisecond)
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		question(ctx)
		cancel()
	}
	if err := client.Close(); err != nil && err != io.EOF {
		t.Log(err)
	}
	// A Cluster's client may still read the state of the Cluster; it closes that connection when it has.
	deadline := time.Now().Add(10 * time.Second)
	for limits.Taken() != 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if taken := limits.Taken(); taken != 0 {
		t.Errorf("%d bytes are said to be taken when all connections are closed", taken)
	}
}
