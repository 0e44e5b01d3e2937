// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
)

// bare has no optional interface. It notes what is called.
type bare struct {
	header http.Header
	status []int
	body   strings.Builder
	calls  []string
}

func newBare() *bare { return &bare{header: http.Header{}} }

func (b *bare) Header() http.Header         { return b.header }
func (b *bare) WriteHeader(status int)      { b.status = append(b.status, status) }
func (b *bare) Write(p []byte) (int, error) { return b.body.Write(p) }
func (b *bare) called(name string)          { b.calls = append(b.calls, name) }

// The doubles' parts, one optional interface each.
type (
	canFlush    struct{ b *bare }
	canFlushErr struct{ b *bare }
	canHijack   struct{ b *bare }
	canReadFrom struct{ b *bare }
	canPush     struct{ b *bare }
	canNotify   struct{ b *bare }
)

func (c canFlush) Flush()               { c.b.called("Flush") }
func (c canFlushErr) Flush()            { c.b.called("Flush") }
func (c canFlushErr) FlushError() error { c.b.called("FlushError"); return nil }
func (c canHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.b.called("Hijack")
	return nil, nil, nil
}
func (c canReadFrom) ReadFrom(r io.Reader) (int64, error) {
	c.b.called("ReadFrom")
	return io.Copy(&c.b.body, r)
}
func (c canPush) Push(string, *http.PushOptions) error { c.b.called("Push"); return nil }
func (c canNotify) CloseNotify() <-chan bool           { c.b.called("CloseNotify"); return nil }

// doubles composes writers by the very numbers that wrap uses, but from parts
// that know nothing of it.
var doubles = map[int]func(*bare) http.ResponseWriter{
	0: func(b *bare) http.ResponseWriter { return b },
	hasFlusher: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canFlush
		}{b, canFlush{b}}
	},
	hasErrFlusher: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canFlushErr
		}{b, canFlushErr{b}}
	},
	hasHijacker: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canHijack
		}{b, canHijack{b}}
	},
	hasReaderFrom: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canReadFrom
		}{b, canReadFrom{b}}
	},
	hasPusher: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canPush
		}{b, canPush{b}}
	},
	hasCloseNotifier: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canNotify
		}{b, canNotify{b}}
	},
	http1Set: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canFlushErr
			canHijack
			canReadFrom
			canNotify
		}{b, canFlushErr{b}, canHijack{b}, canReadFrom{b}, canNotify{b}}
	},
	http2Set: func(b *bare) http.ResponseWriter {
		return struct {
			*bare
			canFlushErr
			canPush
			canNotify
		}{b, canFlushErr{b}, canPush{b}, canNotify{b}}
	},
}

func wrapFor(t testing.TB, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *Exchange) {
	t.Helper()
	rec := NewRecorder(shoal.New(), Opts{})
	return rec.Wrap(w, r, nil)
}

func getRequest() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

func TestWrap_KeepsExactlyTheOptionalInterfaces(t *testing.T) {
	for set, double := range doubles {
		w := double(newBare())
		if got := optionalOf(w); got != set {
			t.Fatalf("the double of set %06b has set %06b", set, got)
		}
		wrapped, _ := wrapFor(t, w, getRequest())
		if got := optionalOf(wrapped); got != set {
			t.Errorf("wrapping set %06b gives set %06b", set, got)
		}
	}
}

// Every set, the ones that no known writer has included.
func TestWrap_HasATypeForEverySet(t *testing.T) {
	for flush := range 3 {
		for rest := range 16 {
			set := rest
			switch flush {
			case 1:
				set |= hasFlusher
			case 2:
				set |= hasErrFlusher
			}
			switch set {
			case 0, hasFlusher, http1Set, http2Set:
				continue // types of their own, tested above
			}
			b := &responseWriter{w: newBare()}
			if got := optionalOf(b.as(set)); got != set {
				t.Errorf("as(%06b) has set %06b", set, got)
			}
		}
	}
}

func TestWrap_CallsThroughToTheWrapped(t *testing.T) {
	for set, double := range doubles {
		b := newBare()
		w, x := wrapFor(t, double(b), getRequest())
		want := 0
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
			want++
		}
		if f, ok := w.(errorFlusher); ok {
			if err := f.FlushError(); err != nil {
				t.Error(err)
			}
			want++
		}
		if rf, ok := w.(io.ReaderFrom); ok {
			if _, err := rf.ReadFrom(strings.NewReader("abc")); err != nil {
				t.Error(err)
			}
			want++
			if x.sent != 3 {
				t.Errorf("set %06b: ReadFrom counted %d bytes, want 3", set, x.sent)
			}
		}
		if p, ok := w.(http.Pusher); ok {
			_ = p.Push("/x", nil)
			want++
		}
		if n, ok := w.(http.CloseNotifier); ok { //nolint:staticcheck // deprecated, and still to be kept
			n.CloseNotify()
			want++
		}
		if h, ok := w.(http.Hijacker); ok {
			_, _, _ = h.Hijack()
			want++
		}
		if len(b.calls) != want {
			t.Errorf("set %06b: %v reached the wrapped writer, want %d calls", set, b.calls, want)
		}
	}
}

func TestWriter_FirstFinalStatusCounts(t *testing.T) {
	tests := map[string]struct {
		statuses []int
		want     int
	}{
		"one":                         {[]int{404}, 404},
		"a second is ignored":         {[]int{201, 500}, 201},
		"early hints are no answer":   {[]int{103, 204}, 204},
		"continue is no answer":       {[]int{100, 100, 200}, 200},
		"only informational ones":     {[]int{103}, 0},
		"switching protocols is one":  {[]int{101, 200}, 101},
		"processing before an error":  {[]int{102, 500}, 500},
		"none":                        {nil, 0},
		"informational after a final": {[]int{200, 103}, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBare()
			w, x := wrapFor(t, b, getRequest())
			for _, s := range tt.statuses {
				w.WriteHeader(s)
			}
			if x.Status() != tt.want {
				t.Errorf("status %d, want %d", x.Status(), tt.want)
			}
			if len(b.status) != len(tt.statuses) {
				t.Errorf("passed on %v, want all of %v", b.status, tt.statuses)
			}
		})
	}
}

func TestWriter_BodyWithoutStatusIs200(t *testing.T) {
	writes := map[string]func(w http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("abc")) },
		"WriteString": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "abc") },
		"ReadFrom":    func(w http.ResponseWriter) { _, _ = io.Copy(w, onlyReader{strings.NewReader("abc")}) },
		"after 103":   func(w http.ResponseWriter) { w.WriteHeader(103); _, _ = io.WriteString(w, "abc") },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			w, x := wrapFor(t, doubles[http1Set](newBare()), getRequest())
			write(w)
			if x.Status() != 200 || x.sent != 3 {
				t.Errorf("status %d and %d bytes, want 200 and 3", x.Status(), x.sent)
			}
		})
	}
}

// onlyReader hides WriteTo, which io.Copy would prefer to ReadFrom.
type onlyReader struct{ io.Reader }

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no source") }

func TestWriter_ErrorAfterAFailedCopyIsTheStatus(t *testing.T) {
	w, x := wrapFor(t, doubles[http1Set](newBare()), getRequest())
	if _, err := io.Copy(w, failingReader{}); err == nil {
		t.Fatal("the copy did not fail")
	}
	http.Error(w, "no source", http.StatusBadGateway)
	if x.Status() != http.StatusBadGateway {
		t.Errorf("status %d, want 502", x.Status())
	}
}

// given notes what ReadFrom was given.
type given struct {
	*bare
	src io.Reader
}

func (g *given) ReadFrom(src io.Reader) (int64, error) {
	g.src = src
	return 0, nil
}

// The kernel can copy a file or a connection only if net/http sees that it is one.
func TestWriter_ReadFromPassesFilesAndConnectionsOnAsTheyAre(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for name, src := range map[string]io.Reader{
		"file":               file,
		"part of a file":     io.LimitReader(file, 3),
		"connection":         &net.TCPConn{},
		"part of connection": io.LimitReader(&net.TCPConn{}, 3),
		"unix connection":    &net.UnixConn{},
	} {
		g := &given{bare: newBare()}
		w, _ := wrapFor(t, g, getRequest())
		if _, err := w.(io.ReaderFrom).ReadFrom(src); err != nil || g.src != src {
			t.Errorf("%s: net/http gets a %T, want the %T itself", name, g.src, src)
		}
	}
}

func TestWriter_ImpossibleStatusIsNotSent(t *testing.T) {
	w, x := wrapFor(t, httptest.NewRecorder(), getRequest())
	func() {
		defer func() { _ = recover() }()
		w.WriteHeader(99999)
	}()
	if x.Status() != 0 {
		t.Errorf("status %d, want none", x.Status())
	}
}

type failingHijack struct{ *bare }

func (failingHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrHijacked
}

func TestWriter_HijackIs101UnlessItFails(t *testing.T) {
	w, x := wrapFor(t, doubles[hasHijacker](newBare()), getRequest())
	_, _, _ = w.(http.Hijacker).Hijack()
	if x.Status() != 101 {
		t.Errorf("hijacked is %d, want 101", x.Status())
	}
	w, x = wrapFor(t, failingHijack{newBare()}, getRequest())
	_, _, _ = w.(http.Hijacker).Hijack()
	if x.Status() != 0 {
		t.Errorf("a hijack that failed is %d, want none", x.Status())
	}
}

// leading has neither Flush nor Hijack, as many a logging wrapper has not, but
// leads to a writer that has both.
type leading struct {
	http.ResponseWriter
	to http.ResponseWriter
}

func (l leading) Unwrap() http.ResponseWriter { return l.to }

func TestWriter_ControllerCannotGetPastTheExchange(t *testing.T) {
	for name, use := range map[string]struct {
		do   func(*http.ResponseController) error
		want int
	}{
		"hijack": {func(c *http.ResponseController) error { _, _, err := c.Hijack(); return err }, 101},
		"flush":  {func(c *http.ResponseController) error { return c.Flush() }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBare()
			w, x := wrapFor(t, leading{b, doubles[http1Set](b)}, getRequest())
			if optionalOf(w) != 0 {
				t.Errorf("the wrapper claims set %06b, the wrapped has none", optionalOf(w))
			}
			if err := use.do(http.NewResponseController(w)); err != nil {
				t.Fatal(err)
			}
			if x.Status() != use.want {
				t.Errorf("status %d, want %d", x.Status(), use.want)
			}
			w, x = wrapFor(t, leading{b, b}, getRequest())
			if err := use.do(http.NewResponseController(w)); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("got %v where nothing can, want ErrNotSupported", err)
			}
			if x.Status() != 0 {
				t.Errorf("status %d where nothing was sent", x.Status())
			}
		})
	}
}

func TestWrap_AllocatesOnce(t *testing.T) {
	rec := NewRecorder(shoal.New(), Opts{})
	r := getRequest()
	route := func(*http.Request) string { return "/" }
	for _, set := range []int{0, hasFlusher, http1Set, http2Set} {
		inner := doubles[set](newBare())
		allocs := testing.AllocsPerRun(100, func() {
			w, x := rec.Wrap(inner, r, route)
			w.WriteHeader(http.StatusOK)
			x.Returned()
			x.End()
		})
		// newBare notes each status in a slice that grows now and then.
		if allocs > 1 {
			t.Errorf("set %06b: %v allocations a request, want 1", set, allocs)
		}
	}
}

// asked counts how often the header of a ResponseWriter was asked for.
type asked struct {
	http.ResponseWriter
	times int
}

func (a *asked) Header() http.Header {
	a.times++
	return a.ResponseWriter.Header()
}

func TestWrap_AsksForNoHeaderThatTheHandlerDoesNotAskFor(t *testing.T) {
	rec := NewRecorder(shoal.New(), Opts{})
	for name, answer := range map[string]func(w http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("ok")) },
		"WriteString": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "ok") },
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"nothing":     func(http.ResponseWriter) {},
	} {
		bare, wrapped := &asked{ResponseWriter: httptest.NewRecorder()}, &asked{ResponseWriter: httptest.NewRecorder()}
		answer(bare)
		w, x := rec.Wrap(wrapped, httptest.NewRequest(http.MethodGet, "/", nil), nil)
		answer(w)
		x.Returned()
		x.End()
		if wrapped.times != bare.times {
			t.Errorf("%s: the header is asked for %d times, without the middleware %d", name, wrapped.times, bare.times)
		}
	}
}
