// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
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

func (c canFlush) Flush()                              { c.b.called("Flush") }
func (c canFlushErr) FlushError() error                { c.b.called("FlushError"); return nil }
func (c canNotify) CloseNotify() <-chan bool           { c.b.called("CloseNotify"); return nil }
func (c canPush) Push(string, *http.PushOptions) error { c.b.called("Push"); return nil }
func (c canHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.b.called("Hijack")
	return nil, nil, nil
}
func (c canReadFrom) ReadFrom(r io.Reader) (int64, error) {
	c.b.called("ReadFrom")
	return io.Copy(&c.b.body, r)
}

// The doubles of net/http's own writers.
type (
	http1Double struct {
		*bare
		canFlush
		canFlushErr
		canHijack
		canReadFrom
		canNotify
	}
	http2Double struct {
		*bare
		canFlush
		canFlushErr
		canPush
		canNotify
	}
)

func newHTTP1() http.ResponseWriter { return doubles(newBare())["Flush Hijack"] }

// doubles are writers to wrap, by the methods that only they and their wrappers
// have. Some have further methods, which every wrapper has.
func doubles(b *bare) map[string]http.ResponseWriter {
	return map[string]http.ResponseWriter{
		"": b,
		"Flush": struct {
			*bare
			canFlush
		}{b, canFlush{b}},
		"Hijack": struct {
			*bare
			canHijack
		}{b, canHijack{b}},
		"Push": struct {
			*bare
			canPush
		}{b, canPush{b}},
		"Flush Hijack": &http1Double{b, canFlush{b}, canFlushErr{b}, canHijack{b}, canReadFrom{b}, canNotify{b}},
		"Flush Push":   &http2Double{b, canFlush{b}, canFlushErr{b}, canPush{b}, canNotify{b}},
		"Hijack Push": struct {
			*bare
			canHijack
			canPush
		}{b, canHijack{b}, canPush{b}},
		"Flush Hijack Push": struct {
			*bare
			canFlush
			canHijack
			canPush
		}{b, canFlush{b}, canHijack{b}, canPush{b}},
	}
}

func wrapFor(t testing.TB, w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *Exchange) {
	t.Helper()
	rec := NewRecorder(shoal.New(), Opts{})
	return rec.Wrap(w, r, nil)
}

func getRequest() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

// methodsOf lists what a type assertion of another package can find.
func methodsOf(w http.ResponseWriter) (names []string) {
	for m := range reflect.TypeOf(w).Methods() {
		names = append(names, m.Name)
	}
	return names
}

func TestWrap_HasMethodsOfNetHTTPAlone(t *testing.T) {
	for own, double := range doubles(newBare()) {
		want := append([]string{"CloseNotify", "FlushError", "Header", "ReadFrom", "Unwrap", "Write", "WriteHeader", "WriteString"},
			strings.Fields(own)...)
		slices.Sort(want)
		wrapped, _ := wrapFor(t, double, getRequest())
		if got := methodsOf(wrapped); !slices.Equal(got, want) {
			t.Errorf("the wrapper of a writer with %q has\n%v, want\n%v", own, got, want)
		}
	}
	below := unwrapping{newBare(), newHTTP1()}
	wrapped, _ := wrapFor(t, below, getRequest())
	want := []string{"Header", "Hijack", "Unwrap", "Write", "WriteHeader"}
	if got := methodsOf(wrapped.(unwrapper).Unwrap()); !slices.Equal(got, want) {
		t.Errorf("what it unwraps to has %v, want %v", got, want)
	}
}

func TestWrap_CallsWhatTheWrappedHas(t *testing.T) {
	calls := map[string]func(w http.ResponseWriter) error{
		"Flush":      func(w http.ResponseWriter) error { w.(http.Flusher).Flush(); return nil },
		"FlushError": func(w http.ResponseWriter) error { return w.(errorFlusher).FlushError() },
		"Push":       func(w http.ResponseWriter) error { return w.(http.Pusher).Push("/x", nil) },
		"Hijack":     func(w http.ResponseWriter) error { _, _, err := w.(http.Hijacker).Hijack(); return err },
		"ReadFrom": func(w http.ResponseWriter) error {
			_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("abc"))
			return err
		},
		"CloseNotify": func(w http.ResponseWriter) error {
			w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // deprecated, and still to be kept
			return nil
		},
	}
	b := newBare()
	for own, double := range doubles(b) {
		for _, name := range methodsOf(double) {
			call := calls[name]
			if call == nil {
				continue
			}
			b.calls = nil
			w, x := wrapFor(t, double, getRequest())
			if err := call(w); err != nil || !slices.Equal(b.calls, []string{name}) {
				t.Errorf("%q: %s gives %v and calls %v", own, name, err, b.calls)
			}
			if name == "ReadFrom" && x.Sent() != 3 {
				t.Errorf("ReadFrom counted %d bytes, want 3", x.Sent())
			}
		}
	}
}

// Where the wrapped writer lacks a method, the wrapper does what net/http and io do then.
func TestWrap_FallsBackWhereTheWrappedHasNothing(t *testing.T) {
	t.Run("copy", func(t *testing.T) {
		b := newBare()
		w, x := wrapFor(t, b, getRequest())
		if n, err := io.Copy(w, onlyReader{strings.NewReader("abc")}); n != 3 || err != nil || b.body.String() != "abc" || x.Sent() != 3 {
			t.Errorf("copied %d, %v: %q, counted %d", n, err, b.body.String(), x.Sent())
		}
	})
	t.Run("flush", func(t *testing.T) {
		w, x := wrapFor(t, newBare(), getRequest())
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) || x.Status() != 0 {
			t.Errorf("got %v, status %d, want ErrNotSupported and none", err, x.Status())
		}
		b := newBare()
		w, x = wrapFor(t, doubles(b)["Flush"], getRequest())
		if err := w.(errorFlusher).FlushError(); err != nil || !slices.Equal(b.calls, []string{"Flush"}) || x.Status() != 200 {
			t.Errorf("got %v, calls %v, status %d, want Flush and 200", err, b.calls, x.Status())
		}
	})
	t.Run("close notification", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		w, _ := wrapFor(t, newBare(), getRequest().WithContext(ctx))
		gone := w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // deprecated, and still to be kept
		select {
		case <-gone:
			t.Error("the client is said to be gone")
		default:
		}
		leave()
		<-gone
	})
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
			w, x := wrapFor(t, newHTTP1(), getRequest())
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
	w, x := wrapFor(t, newHTTP1(), getRequest())
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
	w, x := wrapFor(t, newHTTP1(), getRequest())
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

// unwrapping has neither Flush nor Hijack, like many logging wrappers, but unwraps to a
// writer that has both.
type unwrapping struct {
	http.ResponseWriter
	to http.ResponseWriter
}

func (l unwrapping) Unwrap() http.ResponseWriter { return l.to }

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
			w, x := wrapFor(t, unwrapping{b, newHTTP1()}, getRequest())
			if err := use.do(http.NewResponseController(w)); err != nil {
				t.Fatal(err)
			}
			if x.Status() != use.want {
				t.Errorf("status %d, want %d", x.Status(), use.want)
			}
			w, x = wrapFor(t, unwrapping{b, b}, getRequest())
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
	for own, inner := range doubles(newBare()) {
		allocs := testing.AllocsPerRun(100, func() {
			w, x := rec.Wrap(inner, r, route)
			w.WriteHeader(http.StatusOK)
			x.Returned()
			x.End()
		})
		// newBare notes each status in a slice that grows now and then.
		if allocs > 1 {
			t.Errorf("%q: %v allocations a request, want 1", own, allocs)
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
