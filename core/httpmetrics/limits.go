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
	// stuckTimeout bounds how long the client of an HTTP/2 connection may receive nothing
	// of what waits for it. The server can't end a stream meanwhile.
	stuckTimeout = 30 * time.Second
)

// limit gives a server the limits that it lacks. What its owner set stays: a negative
// value, which means no limit; a ReadTimeout, which net/http uses for headers and idle
// connections as well; and what http2.ConfigureServer has set up.
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
