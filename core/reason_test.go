// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// A client that can reach the page learns what to look at, and not where Redis is,
// who its users are, or whose certificate it shows.
func TestPageReason_NamesTheKindOfTroubleAndNoAddressUserOrHost(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 6379}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err} }
	tests := []struct {
		err  error
		want string
	}{
		{ErrClosed, ErrClosed.Error()},
		{ErrNotConnected, ErrNotConnected.Error()},
		{memstore.RefusedError("NOAUTH Authentication required."), "Redis refuses with NOAUTH"},
		{memstore.RefusedError("WRONGPASS invalid username-password pair for secret"), "Redis refuses with WRONGPASS"},
		{memstore.RefusedError("NOPERM User secret has no permissions to run the 'evalsha' command"), "Redis refuses with NOPERM"},
		{memstore.RefusedError("MOVED 3999 10.1.2.3:6379"), "Redis refuses with MOVED"},
		{memstore.RefusedError("secret-10.1.2.3: no code"), "Redis refuses with an error"},
		{memstore.RefusedError(""), "Redis refuses with an error"},
		{dial(errors.New("connection refused")), "Redis can't be reached"},
		{dial(&net.DNSError{Err: "no such host", Name: "secret.internal"}), "Redis can't be reached"},
		{dial(&net.DNSError{Err: "timeout", Name: "secret.internal", IsTimeout: true}), "Redis has not answered in time (deadline exceeded)"},
		{context.DeadlineExceeded, "Redis has not answered in time (deadline exceeded)"},
		{context.Canceled, "the scrape was given up"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: addr, Err: errors.New("connection reset")}, "the connection to Redis failed"},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{"secret.internal"}}, Host: "10.1.2.3",
		}}, "Redis and this process did not agree on TLS"},
		{io.EOF, "the connection to Redis failed"},
		{&wire.TooManyLeasesError{Key: "secret", Count: 1e6}, "more processes have left leases than a page is made of"},
		{&wire.WrongTypeError{Key: "shoal:1:{shop}:leases", Err: memstore.RefusedError("WRONGTYPE secret")}, "the key shoal:1:{shop}:leases is of a wrong type"},
	}
	for _, tt := range tests {
		for _, err := range []error{tt.err, fmt.Errorf("secret 10.1.2.3: %w", tt.err)} {
			got := pageReason(err)
			if got != tt.want {
				t.Errorf("%v: %q, want %q", err, got, tt.want)
			}
			if strings.Contains(got, "10.1.2.3") || strings.Contains(got, "secret") {
				t.Errorf("%v: %q", err, got)
			}
		}
	}
}
