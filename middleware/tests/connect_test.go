// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tunnel accepts a CONNECT and serves it until the client goes away.
func tunnel(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// wantBegun checks that a tunnel is recorded while it lives.
func (s *site) wantBegun(route string) {
	s.t.Helper()
	if got := s.count("CONNECT", route, "200"); got != 1 {
		_, series := s.total()
		s.t.Errorf("%v recorded while the tunnel lives, want 1: %v", got, series)
	}
	if got := s.inFlight(); got != 1 {
		s.t.Errorf("%v in flight while the tunnel lives, want 1", got)
	}
}

func TestConnect_ATunnelIsRecordedWhenItBegins(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"CONNECT", "/tunnel/{to}", tunnel})
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "CONNECT /tunnel/there HTTP/1.1\r\nHost: x\r\n\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		s.wantBegun(f.pattern("/tunnel/{to}"))
		_ = conn.Close()
		s.finish()
		s.wantOnly("CONNECT", f.pattern("/tunnel/{to}"), "200")
		if got := shoaltest.Value(t, s.reg, "http_response_size_bytes", "method", "CONNECT", "route", f.pattern("/tunnel/{to}"), "code", "200"); got != 0 {
			t.Errorf("%v sizes observed of a tunnel, want none", got)
		}
	})
}

func TestConnect_ARefusalIsAnAnswerLikeAnyOther(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"CONNECT", "/tunnel", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "no")
		}})
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "CONNECT /tunnel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		s.finish()
		s.wantOnly("CONNECT", "/tunnel", "403")
		s.wantSize("CONNECT", "/tunnel", "403", 2)
	})
}

// A WebSocket over HTTP/2 (RFC 8441) is a CONNECT with a path. net/http allows it
// only if GODEBUG says so when the process starts.
func TestConnect_AWebSocketOverHTTP2HasItsRouteWhenItBegins(t *testing.T) {
	const debug = "GODEBUG=http2xconnect=1"
	if os.Getenv("GODEBUG") != "http2xconnect=1" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), debug)
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("no tests to run")) {
			t.Errorf("with %s: %v\n%s", debug, err, out)
		}
		return
	}
	forEach(t, func(t *testing.T, f framework) {
		reg := shoaltest.New(t)
		method := "CONNECT"
		if f.name == "nethttp" {
			method = "" // the usual way to write a pattern
		}
		server := httptest.NewUnstartedServer(f.build(reg, httpmetrics.Opts{}, []route{{method, "/ws/{room}", tunnel}}))
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		s := &site{t: t, f: f, reg: reg, server: server, stop: server.Close}

		conn := openWebSocket(t, server, "/ws/7")
		s.wantBegun(f.pattern("/ws/{room}"))
		_ = conn.Close()
		s.finish()
		s.wantOnly("CONNECT", f.pattern("/ws/{room}"), "200")
	})
}

// openWebSocket returns when the server has accepted.
func openWebSocket(t *testing.T, server *httptest.Server, path string) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, // the server's certificate is httptest's
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"},
		{":authority", server.Listener.Addr().String()}, {":path", path},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := frame.PseudoValue("status"); status != "200" {
				t.Fatalf("the WebSocket got %s", status)
			}
			return conn
		case *http2.RSTStreamFrame:
			t.Fatalf("the WebSocket was refused: %v", frame.ErrCode)
		}
	}
}
