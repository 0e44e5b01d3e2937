// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "hello over %s, TLS: %v", r.Proto, r.TLS != nil)
})

func listenOn(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// unixSocket listens in a directory whose path is short enough for a socket.
func unixSocket(t *testing.T) (l net.Listener, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "shoal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	return listenOn(t, "unix", path), path
}

// getVia fetches a URL on connections to an address.
func getVia(t *testing.T, client *http.Client, network, addr, url string) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	if client != nil {
		transport = client.Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = true
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// during serves while it calls do.
func during(t *testing.T, g Graceful, servers []*http.Server, do func()) error {
	t.Helper()
	reg := shoaltest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, reg, servers...) }()
	do()
	cancel()
	return <-served
}

func wantClosed(t *testing.T, listeners ...net.Listener) {
	t.Helper()
	for _, l := range listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closing the listener on %s again: %v, want that it is closed", l.Addr(), err)
		}
	}
}

func TestServe_AnyServerMayHaveAListenerOfItsOwn(t *testing.T) {
	app, page := NewServer("256.0.0.1:bad", hello), NewServer("", hello)
	plain, plainAddr := onLoopback(hello)
	socket, path := unixSocket(t)
	tcp := listenOn(t, "tcp", "127.0.0.1:0")
	own := map[*http.Server]net.Listener{app: socket, page: tcp}
	err := during(t, Graceful{Listeners: own}, []*http.Server{app, plain, page}, func() {
		for network, addr := range map[string]string{"unix": path, "tcp": tcp.Addr().String(), "tcp4": <-plainAddr} {
			if got := getVia(t, nil, network, addr, "http://shop/"); !strings.HasPrefix(got, "hello") {
				t.Errorf("%s answers %q", addr, got)
			}
		}
	})
	if err != nil {
		t.Errorf("Serve: %v", err)
	}
	wantClosed(t, socket, tcp)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestServe_ClosesListenersAlsoWhenAnotherServerCannotListen(t *testing.T) {
	taken := listenOn(t, "tcp", "127.0.0.1:0")
	for name, bad := range map[string]*http.Server{
		"address in use": NewServer(taken.Addr().String(), hello),
		"no certificate": {Addr: "127.0.0.1:0", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
	} {
		t.Run(name, func(t *testing.T) {
			app := NewServer("", hello)
			socket, _ := unixSocket(t)
			reg := shoaltest.New(t)
			if err := (Graceful{Listeners: map[*http.Server]net.Listener{app: socket}}).Serve(t.Context(), reg, app, bad); err == nil {
				t.Error("Serve says nothing of it")
			}
			wantClosed(t, socket)
			if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
				t.Errorf("Flush after it says %v, want that the registry is closed", err)
			}
		})
	}
}

func TestServe_ListenerThatIsClosedAlreadyIsAnErrorAndEndsAll(t *testing.T) {
	app, other := NewServer("", hello), NewServer("", hello)
	socket, _ := unixSocket(t)
	tcp := listenOn(t, "tcp", "127.0.0.1:0")
	_ = socket.Close()
	reg := shoaltest.New(t)
	err := Graceful{Listeners: map[*http.Server]net.Listener{app: socket, other: tcp}}.Serve(t.Context(), reg, app, other)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), socket.Addr().String()) {
		t.Errorf("Serve says %v, want that the listener was closed, and which", err)
	}
	wantClosed(t, tcp)
}

func TestServe_DecidesOnTLSByCertificates(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	client, certificates := authority.Client(), authority.TLS.Certificates
	ofConfigureServer := func() *tls.Config {
		return &tls.Config{NextProtos: []string{"h2", "http/1.1"}, PreferServerCipherSuites: true} //nolint:staticcheck // as x/net does
	}
	for _, tt := range []struct {
		promise string
		config  *tls.Config
		wrap    func(net.Listener) net.Listener // for a listener of its own; nil for an Addr
		want    string                          // of the answer, or of the error
	}{
		{promise: "none", want: "TLS: false"},
		{promise: "Certificates", config: &tls.Config{Certificates: certificates}, want: "TLS: true"},
		{promise: "GetCertificate", config: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &certificates[0], nil
		}}, want: "TLS: true"},
		{promise: "GetConfigForClient", config: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: certificates}, nil
		}}, want: "TLS: true"},
		{promise: "http2.ConfigureServer without certificates", config: ofConfigureServer(), want: "TLS: false"},
		{promise: "http2.ConfigureServer of later releases", config: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, want: "TLS: false"},
		{promise: "empty", config: &tls.Config{}, want: "without a certificate"},
		{promise: "meant for TLS", config: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}, want: "without a certificate"},
		{promise: "clients must have one", config: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"}}, want: "without a certificate"},
		{promise: "own listener, certificates", config: &tls.Config{Certificates: certificates},
			wrap: func(l net.Listener) net.Listener { return l }, want: "TLS: true"},
		{promise: "own listener, none", wrap: func(l net.Listener) net.Listener { return l }, want: "TLS: false"},
		{promise: "own listener that has TLS, none of the server's",
			wrap: func(l net.Listener) net.Listener {
				return tls.NewListener(l, &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}})
			}, want: "HTTP/2.0, TLS: true"},
		{promise: "own listener that has TLS, and the server's too", config: &tls.Config{Certificates: certificates},
			wrap: func(l net.Listener) net.Listener { return tls.NewListener(l, &tls.Config{Certificates: certificates}) }, want: "TLS: true"},
	} {
		t.Run(strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
			server, addr := onLoopback(hello)
			server.TLSConfig = tt.config
			var g Graceful
			if tt.wrap != nil {
				g.Listeners = map[*http.Server]net.Listener{server: tt.wrap(listenOn(t, "tcp", "127.0.0.1:0"))}
			}
			if _, fails := strings.CutPrefix(tt.want, "without"); fails {
				if err := g.Serve(t.Context(), shoaltest.New(t), server); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "GetCertificate") {
					t.Errorf("Serve says %v, want what is missing", err)
				}
				return
			}
			scheme := "http"
			if strings.HasSuffix(tt.want, "true") {
				scheme = "https"
			}
			err := during(t, g, []*http.Server{server}, func() {
				if got := getVia(t, client, "tcp", <-addr, scheme+"://example.com/"); !strings.Contains(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestNilArgumentsAreNamed(t *testing.T) {
	reg := shoaltest.New(t)
	server := NewServer("127.0.0.1:0", hello)
	for _, tt := range []struct {
		promise, says string
		call          func()
	}{
		{"NewRecorder", "the registry is nil", func() { NewRecorder(nil, Opts{}) }},
		{"Handler", "the registry is nil", func() { Handler(nil, shoal.HandlerOpts{}) }},
		{"PageServer", "the registry is nil", func() { PageServer(":0", nil) }},
		{"Serve, registry", "the registry is nil", func() { _ = Serve(t.Context(), nil, server) }},
		{"Shutdown", "the registry is nil", func() { _ = Graceful{}.Shutdown(t.Context(), nil) }},
		{"Serve, server", "server 2 of 2 is nil", func() { _ = Serve(t.Context(), reg, server, nil) }},
		{"Serve, listener", "a listener is nil", func() {
			_ = Graceful{Listeners: map[*http.Server]net.Listener{server: nil}}.Serve(t.Context(), reg, server)
		}},
		{"Serve, listener of no server", "not served", func() {
			_ = Graceful{Listeners: map[*http.Server]net.Listener{server: listenOn(t, "tcp", "127.0.0.1:0")}}.Serve(t.Context(), reg)
		}},
	} {
		t.Run(tt.promise, func(t *testing.T) {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.HasPrefix(said, "httpmetrics: ") || !strings.Contains(said, tt.says) {
					t.Errorf("it panics with %q, want %q", said, tt.says)
				}
			}()
			tt.call()
		})
	}
	if _, err := RegisterRecorder(nil, Opts{}); err == nil {
		t.Error("RegisterRecorder takes nil for a registry")
	}
}
