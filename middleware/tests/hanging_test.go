// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Scrapers that ask for a large page and read nothing share one page, whatever else they
// do: hundreds of them take little more memory than one, and nobody else waits for them.
func TestAttack_HangingScrapersShareOnePageAndHoldNobodyUp(t *testing.T) {
	const hanging, series = 300, 3000
	s := newSite(t, frameworks[0], httpmetrics.Opts{}, route{"GET", "/", text("ok")})
	v := s.reg.NewCounterVec(shoal.CounterOpts{Name: "big_total"}, []string{"x"})
	for i := range series {
		v.WithLabelValues(fmt.Sprint(strings.Repeat("x", 200), i)).Inc()
	}
	if err := s.reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, page := s.do("GET", "/metrics", nil)
	if !strings.Contains(page, "big_total{") {
		t.Fatalf("the page is %.200s", page)
	}
	before := heap()
	var conns []net.Conn
	for range hanging {
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for _, conn := range conns { // all at once, as far as that goes
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // each after readings of those
		begin := time.Now()
		if status, body := s.do("GET", "/metrics", nil); status != http.StatusOK || len(body) < len(page) {
			t.Errorf("somebody else got %d and %d bytes after %v", status, len(body), time.Since(begin))
		}
	}
	if status, _ := s.do("GET", "/", nil); status != http.StatusOK {
		t.Errorf("a request got %d", status)
	}
	// Readings that began one after the other made a page each; most share one.
	if grown, all := heap()-before, int64(hanging*len(page)); grown > all/4 {
		t.Errorf("%d hanging scrapers hold %d bytes, a page has %d", hanging, grown, len(page))
	}
	s.server.CloseClientConnections()
}
