// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// childEnv has the settings of a process that a test starts.
const childEnv = "SHOAL_PROMETHEUS_CHILD"

type childSettings struct {
	URL, App string
	Lease    time.Duration
}

// childMain is a process that is a target. It counts the requests of a route: GET
// /count?route=/a. It answers each line with its address, and ends with its input.
func childMain(settings string) int {
	var s childSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return fails(err)
	}
	reg := shoal.New()
	requests := reg.NewCounterVec(shoal.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"route"})
	reg.NewGauge(shoal.GaugeOpts{Name: "level", Help: "Of this process."}).Set(1)
	err := reg.Open(s.URL, shoal.Opts{App: s.App, Interval: 20 * time.Millisecond, LeaseDuration: s.Lease, Host: "h", OnError: func(error) {}})
	if err != nil {
		return fails(err)
	}
	each := shoal.HandlerOpts{EachProcess: true, EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true}
	mux := http.NewServeMux()
	mux.Handle("/plain", reg.Handler(each))
	each.SharedInstance = s.App
	mux.Handle("/honored", reg.Handler(each))
	mux.HandleFunc("/count", func(_ http.ResponseWriter, r *http.Request) {
		requests.WithLabelValues(strings.Clone(r.URL.Query().Get("route"))).Inc()
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		if err := reg.Flush(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fails(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: testkit.Patience}
	go func() { _ = server.Serve(listener) }()
	testkit.Obey(os.Stdin, os.Stdout, func(string) (string, error) { return listener.Addr().String(), nil })
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fails(err)
	}
	if err := reg.Close(ctx); err != nil {
		return fails(err)
	}
	return 0
}

func fails(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// child is such a process.
type child struct {
	*testkit.Child
	t    *testing.T
	addr string
}

func startChild(t *testing.T, s childSettings) *child {
	t.Helper()
	c := &child{t: t, Child: testkit.StartChild(t, childEnv, s)}
	c.addr = c.Tell("address")
	return c
}

// get makes a request, which must succeed.
func (c *child) get(path string) string {
	c.t.Helper()
	resp, err := http.Get("http://" + c.addr + path)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Errorf("%s: %v, %v", path, resp, err)
	}
	return string(body)
}
