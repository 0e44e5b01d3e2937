// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

const target = "/shops/12/section7/1234"

// BenchmarkWrk runs wrk against a server without the middleware and one with it. Either may be
// first.
func BenchmarkWrk(b *testing.B) {
	if _, err := exec.LookPath("wrk"); err != nil {
		b.Skip("wrk is missing; on Debian, as root: apt-get install wrk")
	}
	binary := os.Getenv("SHOAL_WRK_SERVER") // built once for all pairs
	if binary == "" {
		binary = filepath.Join(b.TempDir(), "server")
		if out, err := exec.Command("go", "build", "-o", binary, "./server").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	sides := []struct{ name, redis string }{{"bare", ""}, {"shoal", redistest.Shared(b).URL()}}
	rand.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			server := exec.Command(binary)
			server.Env = append(os.Environ(), "REDIS_URL="+side.redis)
			url := serve(b, server)
			wrk(b, "1s", url+target) // warms up, until the heap has its final size
			before := recorded(b, url)
			for b.Loop() {
				total := wrk(b, "2s", url+target)
				if n := recorded(b, url) - before; side.name == "shoal" && n < total {
					b.Errorf("the page shows %v requests, wrk made %v", n, total)
				}
			}
			b.ReportMetric(0, "ns/op") // meaningless here
		})
	}
}

// serve starts the server and returns its URL.
func serve(b *testing.B, server *exec.Cmd) string {
	b.Helper()
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		if err := server.Wait(); err != nil {
			b.Error(err)
		}
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr)
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec: +([\d.]+)`)
	wrkMedian   = regexp.MustCompile(`50% +(\S+)`)
	wrkLast     = regexp.MustCompile(`99% +(\S+)`)
	wrkTrouble  = regexp.MustCompile(`Non-2xx|Socket errors`)
)

// wrk loads the server, reports wrk's results, and returns how many requests were answered.
func wrk(b *testing.B, duration, url string) float64 {
	b.Helper()
	text, err := exec.Command("wrk", "-t1", "-c32", "-d"+duration, "--latency", url).CombinedOutput()
	if err != nil || wrkTrouble.Match(text) {
		b.Fatalf("%v\n%s", err, text)
	}
	b.ReportMetric(parsedBy(b, wrkRate, text, number), "req/s")
	b.ReportMetric(parsedBy(b, wrkMedian, text, nanoseconds), "p50-ns")
	b.ReportMetric(parsedBy(b, wrkLast, text, nanoseconds), "p99-ns")
	return parsedBy(b, wrkRequests, text, number)
}

func parsedBy(tb testing.TB, what *regexp.Regexp, text []byte, parse func(string) (float64, error)) float64 {
	tb.Helper()
	m := what.FindSubmatch(text)
	if m == nil {
		tb.Fatalf("no %s in\n%s", what, text)
	}
	v, err := parse(string(m[1]))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func number(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

func nanoseconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return float64(d), err
}

// recorded returns how many requests the server's page shows; a server without the middleware
// has no page.
func recorded(b *testing.B, url string) float64 {
	b.Helper()
	res, err := http.Get(url + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	defer http.DefaultClient.CloseIdleConnections()
	if res.StatusCode == http.StatusNotFound {
		return 0
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for _, m := range families["http_requests_total"].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return sum
}

func TestWrk_OutputIsUnderstood(t *testing.T) {
	text := []byte(`Running 2s test @ http://127.0.0.1:1/shops
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   395.78us  602.92us  12.06ms   94.32%
  Latency Distribution
     50%  243.50us
     99%    2.97ms
  195423 requests in 2.10s, 22.55MB read
Requests/sec:  93061.23
`)
	for what, want := range map[*regexp.Regexp]float64{wrkRate: 93061.23, wrkRequests: 195423} {
		if got := parsedBy(t, what, text, number); got != want {
			t.Errorf("%s: got %v", what, got)
		}
	}
	for what, want := range map[*regexp.Regexp]float64{wrkMedian: 243500, wrkLast: 2.97e6} {
		if got := parsedBy(t, what, text, nanoseconds); got != want {
			t.Errorf("%s: got %v", what, got)
		}
	}
}
