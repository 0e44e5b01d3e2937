// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// One optional interface each.
type (
	flusher       struct{ w *responseWriter }
	errFlusher    struct{ w *responseWriter } // http.Flusher and FlushError
	hijacker      struct{ w *responseWriter }
	readerFrom    struct{ w *responseWriter }
	pusher        struct{ w *responseWriter }
	closeNotifier struct{ w *responseWriter }
)

func (o flusher) Flush()                                          { o.w.flush() }
func (o errFlusher) Flush()                                       { o.w.flush() }
func (o errFlusher) FlushError() error                            { return o.w.flushError() }
func (o hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error)   { return o.w.hijack() }
func (o readerFrom) ReadFrom(src io.Reader) (int64, error)        { return o.w.readFrom(src) }
func (o pusher) Push(target string, opts *http.PushOptions) error { return o.w.push(target, opts) }
func (o closeNotifier) CloseNotify() <-chan bool                  { return o.w.closeNotify() }

// What the wrapped writer has, as a number.
const (
	hasCloseNotifier = 1 << iota
	hasPusher
	hasReaderFrom
	hasHijacker
	hasFlusher    // a digit of three values:
	hasErrFlusher // FlushError comes with Flush
)

// The sets that net/http's and httptest's own writers have are types of one
// allocation.
const (
	http1Set = hasErrFlusher | hasHijacker | hasReaderFrom | hasCloseNotifier
	http2Set = hasErrFlusher | hasPusher | hasCloseNotifier
)

type (
	http1Writer    struct{ responseWriter }
	http2Writer    struct{ responseWriter }
	recorderWriter struct{ responseWriter }
)

func (w *http1Writer) Flush()                                       { w.flush() }
func (w *http1Writer) FlushError() error                            { return w.flushError() }
func (w *http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }
func (w *http1Writer) ReadFrom(src io.Reader) (int64, error)        { return w.readFrom(src) }
func (w *http1Writer) CloseNotify() <-chan bool                     { return w.closeNotify() }

func (w *http2Writer) Flush()                                           { w.flush() }
func (w *http2Writer) FlushError() error                                { return w.flushError() }
func (w *http2Writer) Push(target string, opts *http.PushOptions) error { return w.push(target, opts) }
func (w *http2Writer) CloseNotify() <-chan bool                         { return w.closeNotify() }

func (w *recorderWriter) Flush() { w.flush() }

func optionalOf(w http.ResponseWriter) (set int) {
	if _, ok := w.(http.Flusher); ok {
		set |= hasFlusher
		if _, ok := w.(errorFlusher); ok {
			set ^= hasFlusher | hasErrFlusher
		}
	}
	if _, ok := w.(http.Hijacker); ok {
		set |= hasHijacker
	}
	if _, ok := w.(io.ReaderFrom); ok {
		set |= hasReaderFrom
	}
	if _, ok := w.(http.Pusher); ok {
		set |= hasPusher
	}
	if _, ok := w.(http.CloseNotifier); ok { //nolint:staticcheck // see closeNotify
		set |= hasCloseNotifier
	}
	return set
}

// wrap returns a writer with the optional interfaces of w, and its base, which
// the caller fills in.
func wrap(w http.ResponseWriter) (http.ResponseWriter, *responseWriter) {
	set := optionalOf(w)
	switch set {
	case 0:
		w := &responseWriter{}
		return w, w
	case http1Set:
		w := &http1Writer{}
		return w, &w.responseWriter
	case http2Set:
		w := &http2Writer{}
		return w, &w.responseWriter
	case hasFlusher:
		w := &recorderWriter{}
		return w, &w.responseWriter
	}
	b := &responseWriter{}
	wrapped := b.as(set)
	return wrapped, b
}

// as lists all further sets, since Go cannot compose a type while it runs.
func (w *responseWriter) as(set int) http.ResponseWriter {
	switch set {
	case hasCloseNotifier:
		return struct {
			*responseWriter
			closeNotifier
		}{w, closeNotifier{w}}
	case hasPusher:
		return struct {
			*responseWriter
			pusher
		}{w, pusher{w}}
	case hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			pusher
			closeNotifier
		}{w, pusher{w}, closeNotifier{w}}
	case hasReaderFrom:
		return struct {
			*responseWriter
			readerFrom
		}{w, readerFrom{w}}
	case hasReaderFrom | hasCloseNotifier:
		return struct {
			*responseWriter
			readerFrom
			closeNotifier
		}{w, readerFrom{w}, closeNotifier{w}}
	case hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			readerFrom
			pusher
		}{w, readerFrom{w}, pusher{w}}
	case hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			readerFrom
			pusher
			closeNotifier
		}{w, readerFrom{w}, pusher{w}, closeNotifier{w}}
	case hasHijacker:
		return struct {
			*responseWriter
			hijacker
		}{w, hijacker{w}}
	case hasHijacker | hasCloseNotifier:
		return struct {
			*responseWriter
			hijacker
			closeNotifier
		}{w, hijacker{w}, closeNotifier{w}}
	case hasHijacker | hasPusher:
		return struct {
			*responseWriter
			hijacker
			pusher
		}{w, hijacker{w}, pusher{w}}
	case hasHijacker | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			hijacker
			pusher
			closeNotifier
		}{w, hijacker{w}, pusher{w}, closeNotifier{w}}
	case hasHijacker | hasReaderFrom:
		return struct {
			*responseWriter
			hijacker
			readerFrom
		}{w, hijacker{w}, readerFrom{w}}
	case hasHijacker | hasReaderFrom | hasCloseNotifier:
		return struct {
			*responseWriter
			hijacker
			readerFrom
			closeNotifier
		}{w, hijacker{w}, readerFrom{w}, closeNotifier{w}}
	case hasHijacker | hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			hijacker
			readerFrom
			pusher
		}{w, hijacker{w}, readerFrom{w}, pusher{w}}
	case hasHijacker | hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			hijacker
			readerFrom
			pusher
			closeNotifier
		}{w, hijacker{w}, readerFrom{w}, pusher{w}, closeNotifier{w}}
	case hasFlusher | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			closeNotifier
		}{w, flusher{w}, closeNotifier{w}}
	case hasFlusher | hasPusher:
		return struct {
			*responseWriter
			flusher
			pusher
		}{w, flusher{w}, pusher{w}}
	case hasFlusher | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			pusher
			closeNotifier
		}{w, flusher{w}, pusher{w}, closeNotifier{w}}
	case hasFlusher | hasReaderFrom:
		return struct {
			*responseWriter
			flusher
			readerFrom
		}{w, flusher{w}, readerFrom{w}}
	case hasFlusher | hasReaderFrom | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			readerFrom
			closeNotifier
		}{w, flusher{w}, readerFrom{w}, closeNotifier{w}}
	case hasFlusher | hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			flusher
			readerFrom
			pusher
		}{w, flusher{w}, readerFrom{w}, pusher{w}}
	case hasFlusher | hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			readerFrom
			pusher
			closeNotifier
		}{w, flusher{w}, readerFrom{w}, pusher{w}, closeNotifier{w}}
	case hasFlusher | hasHijacker:
		return struct {
			*responseWriter
			flusher
			hijacker
		}{w, flusher{w}, hijacker{w}}
	case hasFlusher | hasHijacker | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			hijacker
			closeNotifier
		}{w, flusher{w}, hijacker{w}, closeNotifier{w}}
	case hasFlusher | hasHijacker | hasPusher:
		return struct {
			*responseWriter
			flusher
			hijacker
			pusher
		}{w, flusher{w}, hijacker{w}, pusher{w}}
	case hasFlusher | hasHijacker | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			hijacker
			pusher
			closeNotifier
		}{w, flusher{w}, hijacker{w}, pusher{w}, closeNotifier{w}}
	case hasFlusher | hasHijacker | hasReaderFrom:
		return struct {
			*responseWriter
			flusher
			hijacker
			readerFrom
		}{w, flusher{w}, hijacker{w}, readerFrom{w}}
	case hasFlusher | hasHijacker | hasReaderFrom | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			hijacker
			readerFrom
			closeNotifier
		}{w, flusher{w}, hijacker{w}, readerFrom{w}, closeNotifier{w}}
	case hasFlusher | hasHijacker | hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			flusher
			hijacker
			readerFrom
			pusher
		}{w, flusher{w}, hijacker{w}, readerFrom{w}, pusher{w}}
	case hasFlusher | hasHijacker | hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			flusher
			hijacker
			readerFrom
			pusher
			closeNotifier
		}{w, flusher{w}, hijacker{w}, readerFrom{w}, pusher{w}, closeNotifier{w}}
	case hasErrFlusher:
		return struct {
			*responseWriter
			errFlusher
		}{w, errFlusher{w}}
	case hasErrFlusher | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			closeNotifier
		}{w, errFlusher{w}, closeNotifier{w}}
	case hasErrFlusher | hasPusher:
		return struct {
			*responseWriter
			errFlusher
			pusher
		}{w, errFlusher{w}, pusher{w}}
	case hasErrFlusher | hasReaderFrom:
		return struct {
			*responseWriter
			errFlusher
			readerFrom
		}{w, errFlusher{w}, readerFrom{w}}
	case hasErrFlusher | hasReaderFrom | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			readerFrom
			closeNotifier
		}{w, errFlusher{w}, readerFrom{w}, closeNotifier{w}}
	case hasErrFlusher | hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			errFlusher
			readerFrom
			pusher
		}{w, errFlusher{w}, readerFrom{w}, pusher{w}}
	case hasErrFlusher | hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			readerFrom
			pusher
			closeNotifier
		}{w, errFlusher{w}, readerFrom{w}, pusher{w}, closeNotifier{w}}
	case hasErrFlusher | hasHijacker:
		return struct {
			*responseWriter
			errFlusher
			hijacker
		}{w, errFlusher{w}, hijacker{w}}
	case hasErrFlusher | hasHijacker | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			closeNotifier
		}{w, errFlusher{w}, hijacker{w}, closeNotifier{w}}
	case hasErrFlusher | hasHijacker | hasPusher:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			pusher
		}{w, errFlusher{w}, hijacker{w}, pusher{w}}
	case hasErrFlusher | hasHijacker | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			pusher
			closeNotifier
		}{w, errFlusher{w}, hijacker{w}, pusher{w}, closeNotifier{w}}
	case hasErrFlusher | hasHijacker | hasReaderFrom:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			readerFrom
		}{w, errFlusher{w}, hijacker{w}, readerFrom{w}}
	case hasErrFlusher | hasHijacker | hasReaderFrom | hasPusher:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			readerFrom
			pusher
		}{w, errFlusher{w}, hijacker{w}, readerFrom{w}, pusher{w}}
	case hasErrFlusher | hasHijacker | hasReaderFrom | hasPusher | hasCloseNotifier:
		return struct {
			*responseWriter
			errFlusher
			hijacker
			readerFrom
			pusher
			closeNotifier
		}{w, errFlusher{w}, hijacker{w}, readerFrom{w}, pusher{w}, closeNotifier{w}}
	}
	return w
}
