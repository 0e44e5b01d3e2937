// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"time"
)

const (
	// headerTimeout bounds how long a client may take to send a request's header,
	// so that half-open connections cannot pile up.
	headerTimeout = 10 * time.Second
	// idleTimeout bounds how long a connection lives on which no request comes. It
	// is longer than the ten minutes for which some load balancers keep connections, so
	// that none sends a request on one that is being closed.
	idleTimeout = 11 * time.Minute
	// stuckTimeout bounds how long a connection of HTTP/2 may take nothing at all of
	// what waits for it. Its streams can't be cut off meanwhile.
	stuckTimeout = 30 * time.Second
)

// limit gives a server the limits that it lacks. What its owner set stays: a negative
// value too, which is none, a ReadTimeout, which net/http takes for those of headers
// and idle connections, and what http2.ConfigureServer has set up.
func limit(s *http.Server) {
	if s.ReadTimeout == 0 && s.ReadHeaderTimeout == 0 {
		s.ReadHeaderTimeout = headerTimeout
	}
	if s.ReadTimeout == 0 && s.IdleTimeout == 0 {
		s.IdleTimeout = idleTimeout
	}
	if s.TLSNextProto["h2"] != nil {
		return
	}
	var http2 http.HTTP2Config
	if s.HTTP2 != nil {
		http2 = *s.HTTP2 // other servers may have it too
	}
	if http2.WriteByteTimeout == 0 {
		http2.WriteByteTimeout = stuckTimeout
		s.HTTP2 = &http2
	}
}
