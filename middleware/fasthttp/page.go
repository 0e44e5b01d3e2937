// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/valyala/fasthttp"
)

// Handler returns the page of the registry. It is not recorded by a middleware around it.
// It panics if reg is nil.
//
// What [shoal.Registry.Handler] says holds. fasthttp does not notice a client that goes
// away meanwhile, and the time that a client has to receive the page holds also where the
// server has a WriteTimeout.
func Handler(reg *shoal.Registry, opts shoal.HandlerOpts) fasthttp.RequestHandler {
	page := httpmetrics.Handler(reg, opts)
	return func(ctx *fasthttp.RequestCtx) {
		discard(ctx)
		servePage(ctx, page)
	}
}

// servePage has a handler of net/http answer. The handler runs in a goroutine of its own
// and waits in its Write until the server has sent the body, as in net/http: the registry
// so knows how many pages are on their way to clients, and can cut off those that are
// slow. fasthttpadaptor would copy the page and return from Write at once.
func servePage(ctx *fasthttp.RequestCtx, page http.Handler) {
	w := &pageWriter{
		ctx: ctx, header: make(http.Header), status: http.StatusOK,
		body: make(chan []byte), sent: make(chan struct{}), ended: make(chan struct{}),
		deadline: time.Now().Add(shoal.DefScrapeTimeout),
	}
	for _, name := range []string{"Content-Encoding", "Vary"} { // of middlewares further out
		if v := ctx.Response.Header.Peek(name); len(v) > 0 {
			w.header.Set(name, string(v))
		}
	}
	r := requestOf(ctx)
	go func() {
		defer close(w.ended)
		page.ServeHTTP(w, r)
	}()
	select {
	case body := <-w.body:
		w.answer(ctx)
		ctx.Response.SetBodyStream(&pageBody{Reader: bytes.NewReader(body), w: w}, len(body))
	case <-w.ended: // there is no body
		w.answer(ctx)
		if n, err := strconv.Atoi(w.header.Get("Content-Length")); err == nil {
			ctx.Response.SkipBody = true
			ctx.Response.Header.SetContentLength(n)
		}
	}
}

// requestOf copies what the page looks at: the server uses the request's memory again.
func requestOf(ctx *fasthttp.RequestCtx) *http.Request {
	r := &http.Request{
		Method: string(ctx.Method()), URL: &url.URL{Path: string(ctx.Path()), RawQuery: string(ctx.URI().QueryString())},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), Host: string(ctx.Host()),
	}
	if ctx.Request.IsBodyStream() { // otherwise the server has read it
		r.ContentLength = -1
	}
	for name, value := range ctx.Request.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	return r
}

// pageWriter is the ResponseWriter of the page's handler.
type pageWriter struct {
	ctx    *fasthttp.RequestCtx
	header http.Header
	status int
	body   chan []byte   // what was written
	sent   chan struct{} // closed when the server does not need the body any more
	ended  chan struct{} // closed when the handler has returned: it uses ctx no more
	once   sync.Once     // closes sent

	mu       sync.Mutex
	deadline time.Time // guarded by mu
}

func (w *pageWriter) Header() http.Header    { return w.header }
func (w *pageWriter) WriteHeader(status int) { w.status = status }

// Write is called once, with the whole body. It returns when the body was sent, or at the
// deadline: if a fasthttp.TimeoutHandler is around it, the server sends another answer, and
// leaves this one alone.
func (w *pageWriter) Write(body []byte) (int, error) {
	select {
	case w.body <- body:
	case <-w.sent:
		return 0, io.ErrClosedPipe
	}
	w.mu.Lock()
	late := time.NewTimer(time.Until(w.deadline))
	w.mu.Unlock()
	defer late.Stop()
	select {
	case <-w.sent:
	case <-late.C:
	}
	return len(body), nil
}

// SetWriteDeadline is for the [http.ResponseController] of the page's handler. If it fails,
// nobody waits for the body any more, or there is no connection: Write does not wait either.
func (w *pageWriter) SetWriteDeadline(t time.Time) (err error) {
	defer func() {
		if recover() != nil { // the connection of a RequestCtx.Init, as in unit tests, is nil
			err = fasthttp.ErrNilConnection
		}
		if err != nil {
			t = time.Time{}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.deadline = t
	}()
	return w.ctx.SetWriteDeadline(t)
}

// answer gives the response its status and header.
func (w *pageWriter) answer(ctx *fasthttp.RequestCtx) {
	ctx.SetStatusCode(w.status)
	for name, values := range w.header {
		if name == "Content-Length" {
			continue
		}
		ctx.Response.Header.Del(name)
		for _, v := range values {
			ctx.Response.Header.Add(name, v)
		}
	}
}

// pageBody is the stream of which the server sends the page.
type pageBody struct {
	*bytes.Reader
	w *pageWriter
}

// Close is called when the server has sent the body, or gives up. It waits for the handler,
// since the server uses ctx for another request after that.
func (b *pageBody) Close() error {
	b.w.once.Do(func() { close(b.w.sent) })
	<-b.w.ended
	return nil
}
