// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// prometheus is a running Prometheus that scrapes its target twice a second. It is Debian's,
// which does not know start timestamps; core/tests/prometheus tests with one that does.
type prometheus struct {
	t    *testing.T
	addr string
}

func startPrometheus(t *testing.T, target string, args ...string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: install it (Debian: apt-get install prometheus), or run make deps")
	}
	addr, dir := redistest.FreeAddr(t), t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: [%q]}]
`, target)
	testkit.Must(t, os.WriteFile(config, []byte(text), 0o600))
	log := new(testkit.Heard)
	cmd := exec.Command(path, append([]string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + addr, "--log.level=warn"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("output of prometheus:\n%s", log)
		}
	})
	return &prometheus{t, addr}
}

// query runs an instant query and returns the samples of each series of the result, in
// order.
func (p *prometheus) query(expr string) ([][]float64, error) {
	_, body, err := testkit.Do(p.t.Context(), http.MethodGet, "http://"+p.addr+"/api/v1/query?query="+url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var reply struct {
		Data struct {
			Result []struct {
				Value  [2]any
				Values [][2]any
			}
		}
		Error string
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || reply.Error != "" {
		return nil, fmt.Errorf("%s: %w", body, err)
	}
	var series [][]float64
	for _, r := range reply.Data.Result {
		var samples []float64
		if r.Values == nil {
			r.Values = [][2]any{r.Value}
		}
		for _, v := range r.Values {
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, err
			}
			samples = append(samples, value)
		}
		series = append(series, samples)
	}
	return series, nil
}

// growth reads the samples of http_requests_total. It returns the difference between the last
// and the first sample, summed over the series, and whether a series ever fell.
func (p *prometheus) growth() (growth float64, fell bool, err error) {
	series, err := p.query("http_requests_total[1h]")
	if err != nil {
		return 0, false, err
	}
	for _, samples := range series {
		growth += samples[len(samples)-1] - samples[0]
		for i := 1; i < len(samples); i++ {
			fell = fell || samples[i] < samples[i-1]
		}
	}
	return growth, fell, nil
}

func TestPrometheus_SeesEveryRequestWhileWorkersRestartOneByOne(t *testing.T) {
	t.Parallel()
	f := startFleet(t, redistest.Start(t).URL(), 4)
	f.steadyTotal() // every series exists before Prometheus starts
	server := startPrometheus(t, f.addr)
	testkit.Eventually(t, func() error {
		series, err := server.query("http_requests_total")
		if err == nil && len(series) == 0 {
			err = errors.New("no sample yet")
		}
		return err
	})
	l := f.startLoad(4)
	for index, pid := range f.pids {
		testkit.Must(t, syscall.Kill(pid, syscall.SIGTERM))
		l.more(t, 300, func() error {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("worker %d is still there", index)
			}
			return nil
		})
	}
	answered, failed := l.end()
	if failed != nil {
		t.Logf("not answered, and not counted: %v", failed)
	}
	testkit.Eventually(t, func() error {
		growth, fell, err := server.growth()
		if fell {
			t.Error("a counter fell")
		}
		if err == nil && growth != float64(answered) {
			err = fmt.Errorf("last minus first sample is %v, %d were answered", growth, answered)
		}
		return err
	})
	// increase() extrapolates by up to a scrape interval at the ends of the range, so for
	// an error below 5 % there must be enough samples.
	testkit.Eventually(t, func() error {
		series, err := server.query("max(count_over_time(http_requests_total[1h]))")
		if err == nil && series[0][0] < 30 {
			err = fmt.Errorf("%v samples", series[0][0])
		}
		return err
	})
	increase, err := server.query("sum(increase(http_requests_total[1h]))")
	if err != nil || len(increase) != 1 {
		t.Fatal(increase, err)
	}
	if got, want := increase[0][0], float64(answered); got < .95*want || got > 1.05*want {
		t.Errorf("increase() is %v for %d requests: more than 5 %% off", got, answered)
	}

	p, err := scrape(t, f.addr)
	testkit.Must(t, err)
	p.Valid(t)
}

// A Prometheus that does not know start timestamps takes pages that tell them.
func TestPrometheus_TakesPagesWithStartsThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	reg := shoal.New()
	testkit.Must(t, reg.Open(redistest.Start(t).URL(), shoal.Opts{App: "shop"}))
	t.Cleanup(func() { testkit.Check(t, reg.Close(context.Background())) })
	reg.NewCounterVec(shoal.CounterOpts{Name: "errors_total", Help: "Errors."}, []string{"route"}).WithLabelValues("/a").Add(3)
	reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Time it took."}).Observe(2)
	reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes", Help: "Sizes."}).Observe(7)
	page := reg.Handler(shoal.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
	for _, tt := range []struct {
		args    []string
		kind    string // of content
		created int    // series that tell when others began
	}{
		{nil, "application/openmetrics-text", 3},
		{[]string{"--enable-feature=native-histograms"}, "application/vnd.google.protobuf", 0},
	} {
		var kind atomic.Value // of the last answer
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page.ServeHTTP(w, r)
			kind.Store(w.Header().Get("Content-Type"))
		}))
		t.Cleanup(target.Close)
		server := startPrometheus(t, target.Listener.Addr().String(), tt.args...)
		testkit.Eventually(t, func() error {
			for expr, want := range map[string]float64{
				"up": 1, "errors_total": 3, "took_seconds_count": 1, "size_bytes_sum": 7,
				`count({__name__=~".*_created", __name__!~"shoal_.*"}) or vector(0)`: float64(tt.created),
			} {
				got, err := server.query(expr)
				if err != nil {
					return err
				}
				if len(got) != 1 || got[0][0] != want {
					return fmt.Errorf("%v: %s is %v, want %v", tt.args, expr, got, want)
				}
			}
			return nil
		})
		if got, _ := kind.Load().(string); !strings.HasPrefix(got, tt.kind) {
			t.Errorf("%v: the page was read as %s, want %s", tt.args, got, tt.kind)
		}
	}
	testkit.Scrape(t, reg).Valid(t)
}
