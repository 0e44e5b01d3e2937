// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// prometheus is a running Prometheus that scrapes its target twice a second.
type prometheus struct {
	t    *testing.T
	addr string
}

func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is missing: install it (Debian: apt-get install prometheus), or run make deps")
	}
	addr, dir := freeAddr(t), t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: [%q]}]
`, target)
	testkit.Must(t, os.WriteFile(config, []byte(text), 0o600))
	log := new(testkit.Heard)
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
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
