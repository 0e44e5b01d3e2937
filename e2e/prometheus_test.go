// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// prometheus is a running Prometheus that scrapes its targets each second.
type prometheus struct {
	t    *testing.T
	addr string
}

func startPrometheus(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: install it (Debian: apt-get install prometheus), or run make deps")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	list, err := json.Marshal(targets) // which YAML takes as well
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: %s}]
`, list)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(syncBuffer)
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("output of prometheus:\n%s", log)
		}
	})
	return &prometheus{t, addr}
}

// query runs an instant query and returns the values of its result, each
// series' samples in order.
func (p *prometheus) query(expr string) ([][]float64, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet,
		"http://"+p.addr+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return nil, err
	}
	resp, err := newClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
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
	if err := json.Unmarshal(body, &reply); err != nil || reply.Error != "" {
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

// growth reads the samples of http_requests_total: the difference of the last
// and the first, summed over the series, and whether one of them ever fell.
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
	f := startFleet(t, redistest.Start(t).URL())
	pids := f.workers(4)
	f.settled() // every series is warm
	server := startPrometheus(t, f.addr)
	f.until("the first scrape", func() error {
		series, err := server.query("http_requests_total")
		if err == nil && len(series) == 0 {
			err = fmt.Errorf("no sample yet")
		}
		return err
	})

	l := f.startLoad(4)
	for pid := range pids {
		sent := l.count()
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		f.until("the worker is gone and load goes on", func() error {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("worker %d is still there", pid)
			}
			if l.count() < sent+300 {
				return fmt.Errorf("%d requests since", l.count()-sent)
			}
			return nil
		})
	}
	answered, failed := l.end()
	if failed != nil {
		t.Logf("not answered, and not counted: %v", failed)
	}
	f.until("Prometheus has every request", func() error {
		growth, fell, err := server.growth()
		if err != nil {
			return err
		}
		if fell {
			t.Error("a counter fell")
		}
		if growth != float64(answered) {
			return fmt.Errorf("last minus first sample is %v, %d were answered", growth, answered)
		}
		return nil
	})
	// increase() extrapolates to the ends of the range by up to a scrape
	// interval, so enough samples are needed for a bound of 5 %.
	f.until("thirty samples", func() error {
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

	body, status, err := f.get(f.client, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
