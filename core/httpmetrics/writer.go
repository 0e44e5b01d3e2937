// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Wrap begins an exchange for r and returns a ResponseWriter for its handler,
// which tells the exchange what is sent through it. It has those of the
// interfaces http.Flusher, FlushError, http.Hijacker, http.Pusher,
// io.ReaderFrom and http.CloseNotifier that w has and no others, and Unwrap
// for http.ResponseController. (It always has io.StringWriter, which does no
// more than io.WriteString does without.)
//
// If a middleware further out follows the request already, for the same metrics,
// Wrap returns w itself and the exchange of that one, as [Recorder.Begin] does.
//
// A stream is told, to Opts.Stream as well, by the Content-Type that the handler
// sets on it, not by one that was set on w before.
//
// It costs one allocation for the writers of net/http and httptest. It is not
// pooled: a handler that kept it and wrote too late would otherwise write into
// somebody else's response.
func (rec *Recorder) Wrap(w http.ResponseWriter, r *http.Request, routeOf func(*http.Request) string) (http.ResponseWriter, *Exchange) {
	x, last, flushes := rec.enter(w, r, routeOf)
	if x != nil {
		return w, x
	}
	wrapped, base := wrap(w)
	base.w = w
	base.begin(rec, last, flushes, r, routeOf)
	return wrapped, &base.Exchange
}

// responseWriter is an Exchange with the ResponseWriter whose output it
// follows. It has the methods that every wrapper has. The optional ones have
// names of their own here and are given their public ones by the types in
// writer_types.go.
type responseWriter struct {
	Exchange
	w http.ResponseWriter
}

func (w *responseWriter) Header() http.Header {
	w.header = true
	return w.w.Header()
}

// headerSet is the header, or none if the handler never asked for it and so set
// nothing. Once anybody asks, net/http copies it before it is sent, which costs
// an allocation and 1 to 2 % of a small request.
func (w *responseWriter) headerSet() http.Header {
	if !w.header {
		return nil
	}
	return w.w.Header()
}

func (w *responseWriter) WriteHeader(status int) {
	// net/http panics on an impossible status: that was not sent.
	w.w.WriteHeader(status)
	w.SentHeader(status, w.headerSet())
}

// implicitHeader comes before anything that makes net/http send the header by
// itself: a stream begins with it, not when its first Write returns.
func (w *responseWriter) implicitHeader() {
	if w.status == 0 {
		w.SentHeader(http.StatusOK, w.headerSet())
	}
}

func (w *responseWriter) Write(b []byte) (int, error) {
	w.implicitHeader()
	n, err := w.w.Write(b)
	w.Wrote(int64(n), err)
	return n, err
}

func (w *responseWriter) WriteString(s string) (int, error) {
	w.implicitHeader()
	n, err := io.WriteString(w.w, s)
	w.Wrote(int64(n), err)
	return n, err
}

// Unwrap gives http.ResponseController the next writer, for deadlines and full
// duplex. Flush and Hijack must not get past the exchange that way, which they
// would where the next writer has neither but leads to one that has.
func (w *responseWriter) Unwrap() http.ResponseWriter {
	if _, leads := w.w.(unwrapper); leads {
		_, flushes := w.w.(http.Flusher)
		_, hijacks := w.w.(http.Hijacker)
		if !flushes || !hijacks {
			return (*passage)(w)
		}
	}
	return w.w
}

func (w *responseWriter) flush() {
	w.implicitHeader()
	w.w.(http.Flusher).Flush()
}

func (w *responseWriter) flushError() error {
	w.implicitHeader()
	return w.w.(errorFlusher).FlushError()
}

func (w *responseWriter) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.w.(http.Hijacker).Hijack()
	if err == nil {
		w.Hijacked()
	}
	return conn, rw, err
}

func (w *responseWriter) readFrom(src io.Reader) (int64, error) {
	if w.status == 0 && w.streams(w.headerSet()) {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if copiedByKernel(src) {
		n, err := w.w.(io.ReaderFrom).ReadFrom(src)
		w.copied(n, err)
		return n, err
	}
	c := &copied{src: src, to: w}
	n, err := w.w.(io.ReaderFrom).ReadFrom(c)
	w.copied(n-c.told, err)
	return n, err
}

// copied says that ReadFrom sent n further bytes. Before any it tells no status:
// a source that fails at once sends no header, and the handler may still answer
// with an error.
func (w *responseWriter) copied(n int64, err error) {
	if n > 0 {
		w.implicitHeader()
	}
	w.Wrote(n, err)
}

func (w *responseWriter) push(target string, opts *http.PushOptions) error {
	return w.w.(http.Pusher).Push(target, opts)
}

func (w *responseWriter) closeNotify() <-chan bool {
	return w.w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // deprecated, but gin and older handlers use it
}

// errorFlusher is what http.ResponseController looks for before http.Flusher.
type errorFlusher interface{ FlushError() error }

// unwrapper is what http.ResponseController follows.
type unwrapper interface{ Unwrap() http.ResponseWriter }

// passage stands between a responseWriter and a writer that reaches its Flush
// or Hijack through Unwrap only.
type passage responseWriter

func (p *passage) Header() http.Header         { return (*responseWriter)(p).Header() }
func (p *passage) WriteHeader(status int)      { (*responseWriter)(p).WriteHeader(status) }
func (p *passage) Write(b []byte) (int, error) { return (*responseWriter)(p).Write(b) }
func (p *passage) Unwrap() http.ResponseWriter { return p.w }

// FlushError asks for what lies beyond, since only that knows whether it can.
func (p *passage) FlushError() error {
	err := http.NewResponseController(p.w).Flush()
	if err == nil {
		(*responseWriter)(p).implicitHeader()
	}
	return err
}

// Hijack asks for what lies beyond, since only that knows whether it can.
func (p *passage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(p.w).Hijack()
	if err == nil {
		p.Hijacked()
	}
	return conn, rw, err
}
