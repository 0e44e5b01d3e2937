// SPDX-License-Identifier: Apache-2.0

package shoalecho_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
)

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// fetch says what answers on addr, with client's trust in certificates.
func fetch(t *testing.T, client *http.Client, scheme, addr string) (proto, body string) {
	t.Helper()
	transport := client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(scheme + "://example.com/x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Proto, string(text)
}

func TestRun_HeedsWhatIsSetOnEcho(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	client := authority.Client()
	withCertificate := func(protocols ...string) *tls.Config {
		return &tls.Config{Certificates: authority.TLS.Certificates, NextProtos: protocols}
	}
	type answer struct{ scheme, proto, body string }
	for promise, tt := range map[string]struct {
		// set changes e and returns the addresses of listeners that it opened.
		set  func(t *testing.T, e *echo.Echo) []string
		want []answer // one for each address, or for that of addr
	}{
		"nothing": {func(*testing.T, *echo.Echo) []string { return nil }, []answer{{"http", "HTTP/1.1", "ok"}}},
		"Listener": {func(t *testing.T, e *echo.Echo) []string {
			e.Listener = listener(t)
			return []string{e.Listener.Addr().String()}
		}, []answer{{"http", "HTTP/1.1", "ok"}}},
		"Listener with certificates": {func(t *testing.T, e *echo.Echo) []string {
			e.Listener, e.Server.TLSConfig = listener(t), withCertificate()
			return []string{e.Listener.Addr().String()}
		}, []answer{{"https", "HTTP/2.0", "ok"}}},
		"TLSListener": {func(t *testing.T, e *echo.Echo) []string {
			e.TLSListener = tls.NewListener(listener(t), withCertificate("h2"))
			return []string{e.TLSListener.Addr().String()}
		}, []answer{{"https", "HTTP/2.0", "ok"}}},
		"both listeners": {func(t *testing.T, e *echo.Echo) []string {
			e.TLSServer.TLSConfig = withCertificate()
			e.Listener, e.TLSListener = listener(t), tls.NewListener(listener(t), e.TLSServer.TLSConfig)
			return []string{e.Listener.Addr().String(), e.TLSListener.Addr().String()}
		}, []answer{{"http", "HTTP/1.1", "ok"}, {"https", "HTTP/1.1", "ok"}}},
		"ListenerNetwork": {func(_ *testing.T, e *echo.Echo) []string {
			e.ListenerNetwork = "tcp4"
			return nil
		}, []answer{{"http", "HTTP/1.1", "ok"}}},
		"Server's certificates": {func(_ *testing.T, e *echo.Echo) []string {
			e.Server.TLSConfig = withCertificate()
			return nil
		}, []answer{{"https", "HTTP/2.0", "ok"}}},
		"TLSServer's certificates": {func(_ *testing.T, e *echo.Echo) []string {
			e.TLSServer.TLSConfig = withCertificate()
			return nil
		}, []answer{{"https", "HTTP/2.0", "ok"}}},
		"DisableHTTP2": {func(_ *testing.T, e *echo.Echo) []string {
			e.DisableHTTP2, e.TLSServer.TLSConfig = true, withCertificate()
			return nil
		}, []answer{{"https", "HTTP/1.1", "ok"}}},
		"Server's handler": {func(_ *testing.T, e *echo.Echo) []string {
			e.Server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "guarded: ")
				e.ServeHTTP(w, r)
			})
			return nil
		}, []answer{{"http", "HTTP/1.1", "guarded: ok"}}},
	} {
		t.Run(promise, func(t *testing.T) {
			e := newEcho()
			e.GET("/x", ok)
			addrs := tt.set(t, e)
			addr := make(chan string, 2)
			for _, s := range []*http.Server{e.Server, e.TLSServer} {
				s.BaseContext = func(l net.Listener) context.Context {
					addr <- l.Addr().String()
					return context.Background()
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ran := make(chan error, 1)
			go func() { ran <- shoalecho.Run(ctx, e, "127.0.0.1:0", shoaltest.New(t)) }()
			if addrs == nil {
				select {
				case a := <-addr:
					addrs = []string{a}
				case err := <-ran:
					t.Fatalf("Run ended at once: %v", err)
				}
			}
			for i, want := range tt.want {
				if proto, body := fetch(t, client, want.scheme, addrs[i]); proto != want.proto || body != want.body {
					t.Errorf("%s answers %s %q, want %v", addrs[i], proto, body, want)
				}
			}
			cancel()
			if err := <-ran; err != nil {
				t.Errorf("Run: %v", err)
			}
			for _, l := range []net.Listener{e.Listener, e.TLSListener} {
				if l != nil && !errors.Is(l.Close(), net.ErrClosed) {
					t.Errorf("the listener on %s was left open", l.Addr())
				}
			}
		})
	}
}

func TestRunListener_ServesTLSWhereOnlyTLSServerHasCertificates(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	e := newEcho()
	e.GET("/x", ok)
	e.TLSServer.TLSConfig = &tls.Config{Certificates: authority.TLS.Certificates}
	l := listener(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- shoalecho.RunListener(ctx, e, l, shoaltest.New(t)) }()
	if proto, body := fetch(t, authority.Client(), "https", l.Addr().String()); proto != "HTTP/2.0" || body != "ok" {
		t.Errorf("it answers %s %q", proto, body)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("RunListener: %v", err)
	}
}

func TestRun_NetworkThatCannotBeListenedOnIsAnErrorAndCloses(t *testing.T) {
	for network, check := range map[string]func(error) bool{
		"udp":  func(err error) bool { return errors.Is(err, echo.ErrInvalidListenerNetwork) },
		"tcp6": func(err error) bool { return errors.As(err, new(*net.OpError)) }, // 127.0.0.1 is none
	} {
		t.Run(network, func(t *testing.T) {
			e, reg := newEcho(), shoaltest.New(t)
			e.ListenerNetwork = network
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := shoalecho.Run(ctx, e, "127.0.0.1:0", reg); !check(err) {
				t.Errorf("Run says %v", err)
			}
			if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
				t.Errorf("Flush after it says %v, want that the registry is closed", err)
			}
		})
	}
}

func TestRun_DebugTurnsOnDebugging(t *testing.T) {
	e := newEcho()
	e.Debug = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shoalecho.Run(ctx, e, "127.0.0.1:0", shoaltest.New(t)); err != nil {
		t.Error(err)
	}
	if got := e.Logger.Level(); got != 1 {
		t.Errorf("the logger's level is %d, want 1 for DEBUG", got)
	}
}

func TestRun_GivesEchosServersTheTimeoutsThatTheyLack(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	e := newEcho()
	e.Server.ReadHeaderTimeout = -1
	e.TLSServer.TLSConfig = &tls.Config{Certificates: authority.TLS.Certificates}
	e.Listener, e.TLSListener = listener(t), tls.NewListener(listener(t), e.TLSServer.TLSConfig)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shoalecho.Run(ctx, e, "", shoaltest.New(t)); err != nil {
		t.Fatal(err)
	}
	if s := e.Server; s.ReadHeaderTimeout != -1 || s.IdleTimeout <= 0 {
		t.Errorf("e.Server has %v for headers, where none was set, and %v for idle connections", s.ReadHeaderTimeout, s.IdleTimeout)
	}
	if s := e.TLSServer; s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("e.TLSServer has %v for headers and %v for idle connections", s.ReadHeaderTimeout, s.IdleTimeout)
	}
}
