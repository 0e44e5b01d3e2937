package benchmarks

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func BenchmarkZFamilies(b *testing.B) {
	for _, n := range []int{1000, 5000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			server := redistest.Start(b)
			reg := connected(b, server, "fam")
			cs := make([]*shoal.Counter, n)
			for i := range cs {
				cs[i] = reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("f_%d_total", i)})
			}
			for range 12 {
				for _, c := range cs {
					c.Inc()
				}
				flush(b, reg)
			}
			for b.Loop() {
				for _, c := range cs {
					c.Inc()
				}
				flush(b, reg)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/family")
		})
	}
}

func BenchmarkZAwaited(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			server := redistest.Start(b)
			reg := shoal.New()
			if err := reg.Connect(server.Client(b), shoal.Opts{App: "aw", Interval: time.Hour, RefreshPeriod: 50 * time.Second, OnError: func(error) {}}); err != nil {
				b.Fatal(err)
			}
			defer reg.Close(context.Background())
			cs := make([]*shoal.Counter, n)
			for i := range cs {
				cs[i] = reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("f_%d_total", i)})
			}
			flush(b, reg)
			for b.Loop() {
				if _, err := cs[0].AddSync(context.Background(), 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// line is a proxy with delay each way and a bandwidth from client to server.
type zline struct {
	addr  string
	mu    sync.Mutex
	bytes int64
}

func newLine(t testing.TB, to string, trip time.Duration, rate float64) *zline {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z := &zline{addr: l.Addr().String()}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	free := time.Now() // when the shared line is free
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			go pipe(s, c, trip/2, func(n int) time.Time {
				mu.Lock()
				defer mu.Unlock()
				if free.Before(time.Now()) {
					free = time.Now()
				}
				if rate > 0 {
					free = free.Add(time.Duration(float64(n) / rate * 1e9))
				}
				z.mu.Lock()
				z.bytes += int64(n)
				z.mu.Unlock()
				return free
			})
			go pipe(c, s, trip/2, func(int) time.Time { return time.Now() })
		}
	}()
	return z
}

type piece struct {
	b  []byte
	at time.Time
}

func pipe(dst, src net.Conn, delay time.Duration, sent func(n int) time.Time) {
	ch := make(chan piece, 64)
	go func() {
		defer dst.Close()
		for p := range ch {
			time.Sleep(time.Until(p.at))
			if _, err := dst.Write(p.b); err != nil {
				src.Close()
				for range ch {
				}
				return
			}
		}
	}()
	defer close(ch)
	for {
		buf := make([]byte, 4096)
		n, err := src.Read(buf)
		if n > 0 {
			at := sent(n)
			time.Sleep(time.Until(at))
			ch <- piece{buf[:n], at.Add(delay)}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}

func quant(d []time.Duration) string {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	if len(d) == 0 {
		return "-"
	}
	return fmt.Sprintf("n=%d p50=%v p99=%v max=%v", len(d), d[len(d)/2].Round(time.Millisecond), d[len(d)*99/100].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond))
}

// Row 6: awaited adds while families are refreshed, at 20 ms.
func TestZRefresh(t *testing.T) {
	for _, c := range []struct{ families, gauges int }{{1000, 10}, {50, 10000}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			l := newLine(t, server.Addr, 20*time.Millisecond, 0)
			reg := shoal.New()
			var add *shoal.Counter
			for i := range c.families {
				add = reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("f_%d_total", i)})
				add.Inc()
			}
			vec := reg.NewGaugeVec(shoal.GaugeOpts{Name: "g"}, []string{"n"})
			for i := range c.gauges {
				vec.WithLabelValues(strconv.Itoa(i)).Set(1)
			}
			begin := time.Now()
			fails := 0
			if err := reg.Open("redis://"+l.addr, shoal.Opts{App: "r", SeriesLimit: 20000, RefreshPeriod: 5 * time.Second, OnError: func(err error) { fails++; t.Log(err) }}); err != nil {
				t.Fatal(err)
			}
			if err := reg.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("first flush: %v", time.Since(begin))
			var took []time.Duration
			for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
				b := time.Now()
				if _, err := add.AddSync(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(b))
				time.Sleep(5 * time.Millisecond)
			}
			t.Log("awaited adds: ", quant(took))
			begin = time.Now()
			reg.Close(t.Context())
			t.Logf("close %v", time.Since(begin))
		})
	}
}

// Row 8: a narrow line.
func TestZNarrow(t *testing.T) {
	for _, c := range []struct {
		series int
		rate   float64
	}{{1500, 200e3}, {2200, 200e3}, {6000, 100e3}, {9000, 60e3}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			l := newLine(t, server.Addr, 20*time.Millisecond, c.rate)
			reg := shoal.New()
			vec := reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"code", "method", "route"})
			cs := make([]*shoal.Counter, c.series)
			for i := range cs {
				cs[i] = vec.WithLabelValues("200", "GET", "/items/and/a/long/route/"+strconv.Itoa(i))
			}
			mark := reg.NewCounter(shoal.CounterOpts{Name: "mark_total"})
			var mu sync.Mutex
			fails := 0
			begin := time.Now()
			if err := reg.Open("redis://"+l.addr, shoal.Opts{App: "r", OnError: func(err error) { mu.Lock(); fails++; mu.Unlock(); t.Log(time.Since(begin), err) }}); err != nil {
				t.Fatal(err)
			}
			if err := reg.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("first flush %v", time.Since(begin))
			client := server.Client(t)
			// each event is noted with its time; lateness is when Redis has it
			type ev struct {
				at time.Time
				n  int
			}
			var evs []ev
			done := make(chan bool)
			n := 0
			go func() {
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
						for i := range cs {
							if i%10 == n%10 {
								cs[i].Inc()
							}
						}
						mu.Lock()
						n++
						evs = append(evs, ev{time.Now(), n})
						mu.Unlock()
						mark.Inc()
					}
				}
			}()
			var late []time.Duration
			b0 := l.bytes
			start := time.Now()
			for end := time.Now().Add(45 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				v, _ := client.HGet(t.Context(), "shoal:1:{r/mark_total}:v", "").Int()
				mu.Lock()
				for len(evs) > 0 && evs[0].n <= v {
					late = append(late, time.Since(evs[0].at))
					evs = evs[1:]
				}
				mu.Unlock()
			}
			l.mu.Lock()
			used := float64(l.bytes-b0) / time.Since(start).Seconds() / c.rate
			l.mu.Unlock()
			close(done)
			mu.Lock()
			t.Logf("used %.0f%%, fails reported %d, late %s, waiting %d", used*100, fails, quant(late), len(evs))
			mu.Unlock()
			page, _ := client.HGet(t.Context(), "shoal:1:{r/shoal_flush_failures_total}:v", "").Result()
			t.Log("failures", page)
			runtime.KeepAlive(reg)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			_ = reg.Close(ctx)
		})
	}
}
