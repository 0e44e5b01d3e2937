// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A client over HTTP/2 that begins requests and takes each back at once: those that got
// to the handler are counted once, none stays in flight, and neither the paths nor the
// resets make series. Others are answered meanwhile.
func TestAttack_RapidResetsAreCountedOnceAndLeaveNothingInFlight(t *testing.T) {
	const connections, requests = 8, 400
	var entered atomic.Int64
	reg := shoaltest.New(t)
	handler := buildHTTP(reg, httpmetrics.Opts{}, []route{
		{"GET", "/users/{id}", func(_ http.ResponseWriter, r *http.Request) {
			entered.Add(1)
			<-r.Context().Done() // it is taken back
		}},
		{"GET", "/", text("ok")},
	})
	s := siteOf(t, reg, handler, func(s *http.Server) { s.Protocols = unencrypted() })

	var attackers sync.WaitGroup
	for i := range connections {
		attackers.Go(func() {
			if err := resetRapidly(s.server.Listener.Addr().String(), requests, fmt.Sprint("/users/", i, "-")); err != nil {
				t.Error(err)
			}
		})
	}
	const others = 20
	for range others {
		if status, body := s.do("GET", "/", nil); status != http.StatusOK || body != "ok" {
			t.Errorf("somebody else got %d %q", status, body)
		}
	}
	attackers.Wait()
	var series []string
	for deadline := time.Now().Add(20 * time.Second); ; { // the server ends a connection's requests in its own time
		var total float64
		total, series = s.total()
		flying, want := s.inFlight(), float64(entered.Load()+others)
		if total == want && flying == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%v requests are counted, want %v; %v are still in flight", total, want, flying)
			break
		}
		time.Sleep(time.Millisecond)
	}
	if entered.Load() == 0 {
		t.Error("no request got to the handler")
	}
	for _, line := range series {
		if !strings.Contains(line, "route=/users/{id}") && !strings.Contains(line, "route=/") || strings.Contains(line, "-") {
			t.Errorf("resets made the series %s", line)
		}
	}
	if len(series) > 3 {
		t.Errorf("%d series:\n%s", len(series), strings.Join(series, "\n"))
	}
}

// resetRapidly begins requests over one connection and resets each at once, until the
// server closes the connection. The server's frames are read and dropped.
func resetRapidly(addr string, requests int, path string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	var reader sync.WaitGroup
	reader.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	framer := http2.NewFramer(conn, nil)
	err = framer.WriteSettings()
	var block bytes.Buffer
	headers := hpack.NewEncoder(&block)
	for i := 0; i < requests && err == nil; i++ {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", fmt.Sprint(path, i)}} {
			_ = headers.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		id := uint32(2*i + 1)
		err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		if err == nil {
			err = framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}
	_ = conn.Close() // the server may have closed it before
	reader.Wait()
	return nil
}
