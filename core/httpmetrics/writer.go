// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// Wrap begins an exchange for r and returns a ResponseWriter for its handler,
// which tells the exchange what is sent through it. It has http.Flusher,
// http.Hijacker and http.Pusher exactly if w has them. Whatever w has, it has
// io.StringWriter, io.ReaderFrom, FlushError, http.CloseNotifier, and Unwrap for
// http.ResponseController: where w lacks one, it does what net/http and io do if there
// is none. A type assertion finds no other method on it.
//
// If a middleware further out follows the request already, for the same metrics,
// Wrap returns w itself and the exchange of that middleware, as [Recorder.Begin] does.
//
// A stream is recognized, by Opts.Stream as well, by the Content-Type that the handler
// sets. If the handler sets no header, one that was set on w before does not count.
//
// It costs one allocation. The wrapper comes from no sync.Pool: a handler that kept it and
// wrote too late would otherwise write into somebody else's response.
func (rec *Recorder) Wrap(w http.ResponseWriter, r *http.Request, routeOf func(*http.Request) string) (http.ResponseWriter, *Exchange) {
	outer, last, flushes := rec.enter(w, r, routeOf)
	if outer != nil {
		return w, outer
	}
	wrapped, base := wrap(w)
	base.below = w
	base.x.begin(rec, last, flushes, r, routeOf)
	return wrapped, &base.x
}

// responseWriter tells an exchange what is sent through it to the ResponseWriter
// below. It has the methods that every wrapper has; the types in writer_types.go
// embed it, so all its exported methods are interfaces of net/http or io.
type responseWriter struct {
	x     Exchange // a field: its methods are not the handler's
	below http.ResponseWriter
}

// exchange is how the page, and a middleware further in, find the exchange. No
// type assertion of another package can find it.
func (w *responseWriter) exchange() *Exchange { return &w.x }

func (w *responseWriter) Header() http.Header {
	w.x.header = true
	return w.below.Header()
}

// headerSet is the header, or nil if the handler never asked for it and so set nothing.
// Once Header was called, net/http copies the header before it sends it, which costs an
// allocation and 1 to 2 % of a small request.
func (w *responseWriter) headerSet() http.Header {
	if !w.x.header {
		return nil
	}
	return w.below.Header()
}

func (w *responseWriter) WriteHeader(status int) {
	// first: net/http panics on an impossible status, and sends nothing
	w.below.WriteHeader(status)
	w.x.SentHeader(status, w.headerSet())
}

// implicitHeader comes before anything that makes net/http send the header by
// itself: a stream begins with it, not when its first Write returns.
func (w *responseWriter) implicitHeader() {
	if w.x.status == 0 {
		w.x.SentHeader(http.StatusOK, w.headerSet())
	}
}

func (w *responseWriter) Write(b []byte) (int, error) {
	w.implicitHeader()
	n, err := w.below.Write(b)
	w.x.Wrote(int64(n), err)
	return n, err
}

func (w *responseWriter) WriteString(s string) (int, error) {
	w.implicitHeader()
	n, err := io.WriteString(w.below, s)
	w.x.Wrote(int64(n), err)
	return n, err
}

// ReadFrom is how io.Copy writes. If the writer below has none, it copies by Write. So it
// does for a stream, which is to be recorded before its source has anything.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	below, ok := w.below.(io.ReaderFrom)
	if !ok || w.x.status == 0 && w.x.streams(w.headerSet()) {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if copiedByKernel(src) {
		n, err := below.ReadFrom(src)
		w.noteCopied(n, err)
		return n, err
	}
	c := &copySource{src: src, w: w}
	n, err := below.ReadFrom(c)
	w.noteCopied(n-c.told, err)
	return n, err
}

// noteCopied says that ReadFrom sent n further bytes. Before the first byte no status is
// sent: if the source fails at once, the handler may still answer with an error.
func (w *responseWriter) noteCopied(n int64, err error) {
	if n > 0 {
		w.implicitHeader()
	}
	w.x.Wrote(n, err)
}

// FlushError is what http.ResponseController calls, so that it never looks past
// the exchange for a writer that can flush.
func (w *responseWriter) FlushError() error {
	switch w.below.(type) {
	case errorFlusher, http.Flusher:
		w.implicitHeader()
		return http.NewResponseController(w.below).Flush()
	}
	// Only the writers further down know whether they can flush.
	err := http.NewResponseController(w.below).Flush()
	if err == nil {
		w.implicitHeader()
	}
	return err
}

// CloseNotify is deprecated, but gin's Stream panics without. If the writer below has
// none, the end of the request's context tells.
func (w *responseWriter) CloseNotify() <-chan bool {
	if below, ok := w.below.(http.CloseNotifier); ok { //nolint:staticcheck // see above
		return below.CloseNotify()
	}
	gone := make(chan bool, 1)
	context.AfterFunc(w.x.ctx, func() { gone <- true })
	return gone
}

// Unwrap gives http.ResponseController the next writer, for deadlines and full duplex.
// Where the next writer has no Hijack but leads to one that has, the controller would
// hijack past the exchange: then it gets a hijackPassage.
func (w *responseWriter) Unwrap() http.ResponseWriter {
	if _, hijacks := w.below.(http.Hijacker); !hijacks {
		if _, leads := w.below.(unwrapper); leads {
			return (*hijackPassage)(w)
		}
	}
	return w.below
}

// What only some wrappers have: the types in writer_types.go export these.

func (w *responseWriter) flush() {
	w.implicitHeader()
	w.below.(http.Flusher).Flush()
}

func (w *responseWriter) hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.hijacked(w.below.(http.Hijacker).Hijack())
}

func (w *responseWriter) hijacked(conn net.Conn, rw *bufio.ReadWriter, err error) (net.Conn, *bufio.ReadWriter, error) {
	if err == nil {
		w.x.Hijacked()
	}
	return conn, rw, err
}

func (w *responseWriter) push(target string, opts *http.PushOptions) error {
	return w.below.(http.Pusher).Push(target, opts)
}

// errorFlusher is what http.ResponseController looks for before http.Flusher.
type errorFlusher interface{ FlushError() error }

// unwrapper is what http.ResponseController follows.
type unwrapper interface{ Unwrap() http.ResponseWriter }

// hijackPassage stands between a responseWriter and a writer that reaches its
// Hijack through Unwrap only.
type hijackPassage responseWriter

func (p *hijackPassage) Header() http.Header         { return (*responseWriter)(p).Header() }
func (p *hijackPassage) WriteHeader(status int)      { (*responseWriter)(p).WriteHeader(status) }
func (p *hijackPassage) Write(b []byte) (int, error) { return (*responseWriter)(p).Write(b) }
func (p *hijackPassage) Unwrap() http.ResponseWriter { return p.below }

// Hijack asks the writers further down, since only they know whether they can.
func (p *hijackPassage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return (*responseWriter)(p).hijacked(http.NewResponseController(p.below).Hijack())
}
