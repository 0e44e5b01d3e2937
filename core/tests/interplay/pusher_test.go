// SPDX-License-Identifier: Apache-2.0

package interplay_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// pushed is a Pushgateway that records what a pusher sends.
type pushed struct {
	path     string
	families []*dto.MetricFamily
}

func (p *pushed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.path = r.Method + " " + r.URL.Path
	decoder := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header))
	for {
		var f dto.MetricFamily
		if err := decoder.Decode(&f); err != nil {
			break
		}
		p.families = append(p.families, &f)
	}
	w.WriteHeader(http.StatusOK)
}

func TestPusher_PushesTheFleetsTotals(t *testing.T) {
	reg := process(t)
	shop(t, reg)
	gateway := &pushed{}
	server := httptest.NewServer(gateway)
	defer server.Close()
	testkit.Must(t, push.New(server.URL, "shop").Gatherer(reg).Client(server.Client()).Push())
	if gateway.path != "PUT /metrics/job/shop" {
		t.Errorf("the request was %s", gateway.path)
	}
	got := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return gateway.families, nil })
	testkit.Check(t, testutil.GatherAndCompare(got, strings.NewReader(shopPage), shopNames...))
}
