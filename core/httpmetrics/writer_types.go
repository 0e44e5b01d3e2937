// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"net"
	"net/http"
)

// Handlers ask a ResponseWriter by a type assertion whether it can flush, be
// hijacked or push, and choose by the answer what they do. So a wrapper has
// exactly those of http.Flusher, http.Hijacker and http.Pusher that the wrapped
// writer has, and there is a type for each combination, since Go cannot compose
// one at run time. All other interfaces of net/http have a fallback, so that
// every wrapper has them.
type (
	flushWriter           struct{ responseWriter }
	hijackWriter          struct{ responseWriter }
	pushWriter            struct{ responseWriter }
	flushHijackWriter     struct{ flushWriter }
	flushPushWriter       struct{ flushWriter }
	hijackPushWriter      struct{ hijackWriter }
	flushHijackPushWriter struct{ flushHijackWriter }
)

func (w *flushWriter) Flush() { w.flush() }

func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error)      { return w.hijack() }
func (w *flushHijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

func (w *pushWriter) Push(target string, o *http.PushOptions) error       { return w.push(target, o) }
func (w *flushPushWriter) Push(target string, o *http.PushOptions) error  { return w.push(target, o) }
func (w *hijackPushWriter) Push(target string, o *http.PushOptions) error { return w.push(target, o) }
func (w *flushHijackPushWriter) Push(target string, o *http.PushOptions) error {
	return w.push(target, o)
}

// wrap returns a wrapper for below, and the part of it that the caller fills in.
// Each is one allocation.
func wrap(below http.ResponseWriter) (http.ResponseWriter, *responseWriter) {
	_, flushes := below.(http.Flusher)
	_, hijacks := below.(http.Hijacker)
	_, pushes := below.(http.Pusher)
	switch {
	case flushes && hijacks && pushes:
		w := &flushHijackPushWriter{}
		return w, &w.responseWriter
	case flushes && hijacks: // net/http over HTTP/1
		w := &flushHijackWriter{}
		return w, &w.responseWriter
	case flushes && pushes: // net/http over HTTP/2
		w := &flushPushWriter{}
		return w, &w.responseWriter
	case hijacks && pushes:
		w := &hijackPushWriter{}
		return w, &w.responseWriter
	case flushes:
		w := &flushWriter{}
		return w, &w.responseWriter
	case hijacks:
		w := &hijackWriter{}
		return w, &w.responseWriter
	case pushes: // http.TimeoutHandler
		w := &pushWriter{}
		return w, &w.responseWriter
	}
	w := &responseWriter{}
	return w, w
}
