// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// writer tells the exchange what is sent through gin's writer. All other methods of
// gin's writer it has by the embedded interface.
type writer struct {
	gin.ResponseWriter                       // nil if another writer tells the exchange
	exchange           *httpmetrics.Exchange // own, or that of a middleware further out
	own                httpmetrics.Exchange
	outer              *writer // of a middleware further out, nil for none
	place              *place  // has this writer until end
}

// Unwrap lets http.ResponseController find gin's writer and what is below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// HTTPExchange is how the page, and a middleware further in, find the exchange.
func (w *writer) HTTPExchange() *httpmetrics.Exchange { return w.exchange }

// WriteHeaderNow sends the status that gin's WriteHeader only notes.
func (w *writer) WriteHeaderNow() {
	w.ResponseWriter.WriteHeaderNow()
	w.exchange.SentHeader(w.Status(), w.Header())
}

func (w *writer) Write(b []byte) (int, error) {
	w.implicitHeader()
	n, err := w.ResponseWriter.Write(b)
	w.exchange.Wrote(int64(n), err)
	return n, err
}

func (w *writer) WriteString(s string) (int, error) {
	w.implicitHeader()
	n, err := w.ResponseWriter.WriteString(s)
	w.exchange.Wrote(int64(n), err)
	return n, err
}

func (w *writer) Flush() {
	w.implicitHeader()
	w.ResponseWriter.Flush()
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.ResponseWriter.Hijack()
	if err == nil {
		w.exchange.Hijacked()
	}
	return conn, rw, err
}

// implicitHeader tells the exchange the status that gin and net/http send by themselves
// before a body. After an informational status gin accepts no other, and net/http sends
// 200.
func (w *writer) implicitHeader() {
	if w.exchange.Status() != 0 {
		return
	}
	status := w.Status()
	if status < 200 && status != http.StatusSwitchingProtocols {
		status = http.StatusOK
	}
	w.exchange.SentHeader(status, w.Header())
}

// returned is called when the handlers came back. A status that was only set, and its own
// 404 and 405, gin sends after all middleware. 200 is the status if nobody set one, so it
// says nothing.
func (w *writer) returned() {
	if w.ResponseWriter != nil {
		if status := w.Status(); status != http.StatusOK {
			w.exchange.SentHeader(status, w.Header())
		}
	}
	w.exchange.Returned()
}

// end is deferred: it runs for panics as well.
func (w *writer) end(c *gin.Context) {
	// gin gives c to another request when the engine returns, while a middleware around the
	// engine may still have the exchange open: nothing of this request may be left in c.
	w.place.last = w.outer
	switch c.Writer {
	case w:
		c.Writer = w.ResponseWriter
	case w.ResponseWriter:
		w.catchUp()
	}
	w.exchange.End()
}

// catchUp tells the exchange what was sent past this writer: HandleContext puts gin's own
// writer in its place, and the handlers that then serve the request may be behind no
// middleware of ours.
func (w *writer) catchUp() {
	if w.Written() {
		w.exchange.SentHeader(w.Status(), w.Header())
		w.exchange.SentBody(int64(w.Size()) - w.exchange.Sent())
	}
}
