// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// errBroken looks like a connection that broke: the operation was applied or not.
var errBroken = errors.New("connection reset")

// refusal is an answer that says that nothing was applied.
const refusal = memstore.RefusedError("READONLY You can't write against a read only replica.")

// connectTo connects reg to server as one more process of the app "shop", and
// closes it when the test ends.
func connectTo(t testing.TB, server *memstore.Server, reg *Registry, opts Opts) {
	t.Helper()
	if opts.App == "" {
		opts.App = "shop"
	}
	if opts.Host == "" {
		opts.Host = "here"
	}
	if opts.OnError == nil {
		opts.OnError = func(error) {}
	}
	if err := reg.connect(opts, server.Store, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = reg.Close(ctx)
	})
}

// process is a new registry that is connected to server.
func process(t testing.TB, server *memstore.Server, opts Opts) *Registry {
	t.Helper()
	reg := New()
	connectTo(t, server, reg, opts)
	return reg
}

// readOnly is a registry that only reads what the processes of server wrote.
func readOnly(t testing.TB, server *memstore.Server) *Registry {
	t.Helper()
	return process(t, server, Opts{ReadOnly: true})
}

// register registers a family as the writer of another program, which started at born.
func register(t testing.TB, server *memstore.Server, name string, born int64, d wire.Definition) {
	t.Helper()
	r := server.Store("shop").Register(t.Context(), []wire.Registration{{Family: name, Writer: "w", Nonce: "n", Born: born, Definition: d}})[0]
	if r.Err != nil || r.Clash != "" {
		t.Fatalf("registering %s: %+v", name, r)
	}
}

// kill ends a process without a Close: nothing is flushed or given back.
func kill(t testing.TB, reg *Registry) {
	t.Helper()
	c := reg.conn.Load()
	if !c.begun.CompareAndSwap(false, true) {
		t.Fatal("the registry is closed already")
	}
	close(c.stop)
	c.writer.cancel()
	c.pages.Stop(ErrClosed)
	c.group.Wait()
	c.pages.Wait()
	close(c.done)
}

// elapse lets time go by in a bubble, and waits until everything in it is at rest.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func flush(t testing.TB, reg *Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := reg.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// stored is the page of a new registry that only reads.
func stored(t testing.TB, server *memstore.Server) samples {
	t.Helper()
	return storedIn(t, server, "shop")
}

func storedIn(t testing.TB, server *memstore.Server, app string) samples {
	t.Helper()
	reader := New()
	if err := reader.connect(Opts{App: app, ReadOnly: true, OnError: func(error) {}}, server.Store, nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(context.Background()); err != nil {
			t.Errorf("closing a reader: %v", err)
		}
	}()
	return scrape(t, reader)
}

// scrape asks the registry for its page and parses it.
func scrape(t testing.TB, reg *Registry) samples {
	t.Helper()
	return parsePage(t, get(t, reg.Handler(HandlerOpts{}), nil))
}

// ask makes one request of a page.
func ask(h http.Handler, method string, header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/metrics", nil)
	for name, values := range header {
		req.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// get asks for a page and returns its body; anything but 200 fails the test.
func get(t testing.TB, h http.Handler, header http.Header) string {
	t.Helper()
	w := ask(h, http.MethodGet, header)
	if w.Code != http.StatusOK {
		t.Fatalf("the page answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// samples are a page's values by series, as the text format writes them. The
// families shoal_... are left out.
type samples map[string]float64

// parsePage reads a page in the text format with the parser that Prometheus's
// own tools use, and fails the test if that finds anything wrong.
func parsePage(t testing.TB, body string) samples {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("the page is not valid: %v\n%s", err, body)
	}
	s := samples{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "shoal_") {
			continue
		}
		s.add(t, f)
	}
	return s
}

// gathered flattens what Gather returns.
func gathered(t testing.TB, families []*dto.MetricFamily) samples {
	t.Helper()
	s := samples{}
	for _, f := range families {
		s.add(t, f)
	}
	return s
}

func (s samples) add(t testing.TB, f *dto.MetricFamily) {
	t.Helper()
	set := func(name string, labels []*dto.LabelPair, v float64, extra ...string) {
		var parts []string
		for _, l := range labels {
			parts = append(parts, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		parts = append(parts, extra...)
		if len(parts) > 0 {
			name += "{" + strings.Join(parts, ",") + "}"
		}
		if _, twice := s[name]; twice {
			t.Fatalf("the page has %s twice", name)
		}
		s[name] = v
	}
	name := f.GetName()
	for _, m := range f.Metric {
		switch {
		case m.Counter != nil:
			set(name, m.Label, m.Counter.GetValue())
		case m.Gauge != nil:
			set(name, m.Label, m.Gauge.GetValue())
		case m.Summary != nil:
			set(name+"_sum", m.Label, m.Summary.GetSampleSum())
			set(name+"_count", m.Label, float64(m.Summary.GetSampleCount()))
		case m.Histogram != nil:
			set(name+"_sum", m.Label, m.Histogram.GetSampleSum())
			set(name+"_count", m.Label, float64(m.Histogram.GetSampleCount()))
			before := uint64(0)
			for _, b := range m.Histogram.Bucket {
				if b.GetCumulativeCount() < before {
					t.Errorf("%s: the buckets fall at %v", name, b.GetUpperBound())
				}
				before = b.GetCumulativeCount()
				set(name+"_bucket", m.Label, float64(before), fmt.Sprintf("le=\"%g\"", b.GetUpperBound()))
			}
			if before != m.Histogram.GetSampleCount() {
				t.Errorf("%s: the last bucket has %d, the count is %d", name, before, m.Histogram.GetSampleCount())
			}
		}
	}
}

// want fails the test unless the page has these samples, and no others of the families
// that are among them.
func (s samples) want(t testing.TB, wanted samples) {
	t.Helper()
	families := map[string]bool{}
	for name, v := range wanted {
		families[strings.SplitN(name, "{", 2)[0]] = true
		if got, ok := s[name]; !ok {
			t.Errorf("no %s on the page, want %v", name, v)
		} else if got != v && !(got != got && v != v) {
			t.Errorf("%s is %v, want %v", name, got, v)
		}
	}
	for name, v := range s {
		if _, ok := wanted[name]; !ok && families[strings.SplitN(name, "{", 2)[0]] {
			t.Errorf("the page has %s %v, which is not wanted", name, v)
		}
	}
}

// lacks fails the test if the page has a series whose name begins with prefix.
func (s samples) lacks(t testing.TB, prefix string) {
	t.Helper()
	for name, v := range s {
		if strings.HasPrefix(name, prefix) {
			t.Errorf("the page has %s %v", name, v)
		}
	}
}

// selfValue is what one of shoal's own counters of this process has counted
// and not sent; it is for registries that are not connected.
func selfValue(reg *Registry, name string, values ...string) float64 {
	f := reg.byName[name]
	s := f.table.get(hashValues(values), values)
	if s == nil {
		return 0
	}
	c := s.metric.(*Counter)
	return c.drain(nil)[0].Value
}

// troubles collects what OnError hears.
type troubles struct {
	mu   sync.Mutex
	list []error // guarded by mu
}

func (c *troubles) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, err)
}

func (c *troubles) all() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// count is how many of them contain the text.
func (c *troubles) count(text string) int {
	n := 0
	for _, err := range c.all() {
		if strings.Contains(err.Error(), text) {
			n++
		}
	}
	return n
}

// mustPanic runs f, which must panic, and returns with what.
func mustPanic(t testing.TB, f func()) (message string) {
	t.Helper()
	defer func() {
		t.Helper()
		p := recover()
		if p == nil {
			t.Fatal("no panic")
		}
		message = fmt.Sprint(p)
	}()
	f()
	return ""
}

// mentions fails the test unless err's text has all of the words.
func mentions(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that mentions %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not mention %q", err, w)
		}
	}
}
