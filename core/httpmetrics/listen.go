// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
)

// serving is a server that Serve serves.
type serving struct {
	*http.Server
	listener net.Listener
	overTLS  bool // by the server: the listener itself has no TLS
	group    drainGroup
}

// listen opens the listeners of all servers. If one fails, it closes the others.
func (g Graceful) listen(ctx context.Context, servers []*http.Server) ([]part, error) {
	var all []part
	for _, s := range servers {
		all = append(all, &serving{Server: s, listener: g.Listeners[s]})
	}
	for _, o := range g.Others {
		all = append(all, &otherServing{Other: o, ended: make(chan struct{})})
	}
	var errs []error
	for _, p := range all {
		if err := p.listen(ctx); err != nil {
			errs = append(errs, fmt.Errorf("httpmetrics: %w", err))
		}
	}
	if len(errs) == 0 {
		return all, nil
	}
	for _, p := range all {
		errs = append(errs, p.unlisten())
	}
	return nil, errors.Join(errs...)
}

func (s *serving) listen(ctx context.Context) (err error) {
	if hasTLS(s.listener) {
		return nil
	}
	if s.overTLS, err = servesTLS(s.Server); err != nil || s.listener != nil {
		return err
	}
	addr := s.Addr
	if addr == "" {
		addr = ":http"
		if s.overTLS {
			addr = ":https"
		}
	}
	s.listener, err = listenTCP(ctx, addr)
	return err
}

// listenTCP listens also if ctx is done.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(context.WithoutCancel(ctx), "tcp", addr)
}

func (s *serving) unlisten() error { return closeListener(s.listener) }

// closeListener closes l, which may be nil or closed already.
func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return ignoreClosed(l.Close())
}

func (s *serving) serve() error {
	limit(s.Server)
	s.group.byServer = s.Protocols != nil && s.Protocols.UnencryptedHTTP2()
	s.BaseContext = s.group.baseContext(s.BaseContext)
	serve := s.Serve
	if s.overTLS {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	err := serve(s.listener)
	// Serve has closed it, but ServeTLS may fail before that.
	closed := closeListener(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("httpmetrics: serve %s: %w", s.listener.Addr(), errors.Join(err, closed))
}

func (s *serving) drain(ctx context.Context) error {
	s.group.stop()
	if err := errors.Join(s.Shutdown(ctx), s.group.wait(ctx)); err != nil {
		return fmt.Errorf("httpmetrics: drain the server on %q: %w", s.address(), errors.Join(err, s.Close()))
	}
	return nil
}

// address is where the server listens, or would.
func (s *serving) address() string {
	if s.listener != nil {
		return s.listener.Addr().String()
	}
	return s.Addr
}

// servesTLS says whether a server is meant to serve TLS, by whether it has
// certificates.
func servesTLS(s *http.Server) (bool, error) {
	c := s.TLSConfig
	switch {
	case c == nil:
		return false, nil
	case len(c.Certificates) > 0, c.GetCertificate != nil, c.GetConfigForClient != nil:
		return true, nil
	case isOfConfigureServer(c):
		return false, nil
	}
	return false, fmt.Errorf("the server on %q has a TLSConfig without a certificate: set its Certificates or GetCertificate, or leave TLSConfig nil to serve without TLS", s.Addr)
}

// isOfConfigureServer recognizes what http2.ConfigureServer makes of a server
// without a TLSConfig. Any other setting shows that somebody wanted TLS.
func isOfConfigureServer(c *tls.Config) bool {
	if !slices.Contains(c.NextProtos, "h2") {
		return false
	}
	c = c.Clone()
	c.NextProtos, c.PreferServerCipherSuites = nil, false //nolint:staticcheck // deprecated, but x/net sets it
	return reflect.DeepEqual(c, &tls.Config{})
}

// hasTLS recognizes a listener of tls.NewListener or tls.Listen.
func hasTLS(l net.Listener) bool {
	return reflect.TypeOf(l) == tlsListener
}

var tlsListener = reflect.TypeOf(tls.NewListener(nil, nil))

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
