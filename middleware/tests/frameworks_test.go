// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter, gin.DefaultErrorWriter = io.Discard, io.Discard
	log.SetOutput(io.Discard)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(ofFastHTTP...); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// ofFastHTTP are goroutines that fasthttp keeps: those of a server for 10 s, those of its
// clock, of compressors and of file caches for ever.
var ofFastHTTP = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*inMemoryCacheManager).handleCleanCache"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
}

// route is a route in net/http's spelling.
type route struct {
	method, path string
	handler      http.HandlerFunc
}

// framework builds the same application with one of the middlewares.
type framework struct {
	name string
	// build makes an application by the package's Install.
	build func(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler
	// run makes one and serves it by the package's Run.
	run func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error
	// colon says that the framework spells {id} as :id.
	colon bool
}

// pattern gives a pattern the way that the framework spells it.
func (f framework) pattern(path string) string {
	if f.colon {
		path = strings.NewReplacer("{", ":", "}", "").Replace(path)
	}
	return path
}

func buildHTTP(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(strings.TrimSpace(r.method+" "+r.path), r.handler)
	}
	return shoalhttp.Install(mux, reg, opts)
}

func buildChi(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler {
	router := chi.NewRouter()
	shoalchi.Install(router, reg, opts)
	for _, r := range routes {
		router.Method(r.method, r.path, r.handler)
	}
	return router
}

func buildGin(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) *gin.Engine {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	shoalgin.Install(engine, reg, opts)
	for _, r := range routes {
		engine.Handle(r.method, framework{colon: true}.pattern(r.path), gin.WrapF(r.handler))
	}
	return engine
}

func buildEcho(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	shoalecho.Install(e, reg, opts)
	for _, r := range routes {
		e.Add(r.method, framework{colon: true}.pattern(r.path), echo.WrapHandler(r.handler))
	}
	return e
}

var frameworks = []framework{
	{name: "nethttp", build: buildHTTP,
		run: func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error {
			server := tellAddress(httpmetrics.NewServer("127.0.0.1:0", buildHTTP(reg, httpmetrics.Opts{}, routes)), addr)
			return shoalhttp.Run(ctx, server, reg)
		}},
	{name: "chi", build: buildChi,
		run: func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error {
			return shoalchi.Run(ctx, buildChi(reg, httpmetrics.Opts{}, routes), freeAddress(addr), reg)
		}},
	{name: "gin", colon: true,
		build: func(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler {
			return buildGin(reg, opts, routes)
		},
		run: func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error {
			return shoalgin.Run(ctx, buildGin(reg, httpmetrics.Opts{}, routes), freeAddress(addr), reg)
		}},
	{name: "echo", colon: true,
		build: func(reg *shoal.Registry, opts httpmetrics.Opts, routes []route) http.Handler {
			return buildEcho(reg, opts, routes)
		},
		run: func(ctx context.Context, reg *shoal.Registry, routes []route, addr chan<- string) error {
			e := buildEcho(reg, httpmetrics.Opts{}, routes)
			tellAddress(e.Server, addr)
			return shoalecho.Run(ctx, e, "127.0.0.1:0", reg)
		}},
	echoV5,
}

func forEach(t *testing.T, test func(t *testing.T, f framework)) {
	forEachOf(t, frameworks, test)
}

func forEachOf(t *testing.T, some []framework, test func(t *testing.T, f framework)) {
	for _, f := range some {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

func tellAddress(s *http.Server, addr chan<- string) *http.Server {
	s.BaseContext = func(l net.Listener) context.Context {
		addr <- l.Addr().String()
		return context.Background()
	}
	return s
}

// freeAddress picks an address for those Runs that make the server themselves.
func freeAddress(addr chan<- string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	a := l.Addr().String()
	_ = l.Close()
	addr <- a
	return a
}

// watched gives a registry that the test closes, and that of another process, whose page
// shows what the first leaves behind.
func watched(t *testing.T) (reg, watcher *shoal.Registry) {
	t.Helper()
	store := shoaltest.NewServer()
	watcher = store.New(t, shoal.Opts{}) // has the gauge_index 0
	reg = shoal.New()
	if err := store.Connect(reg, shoal.Opts{}); err != nil {
		t.Fatal(err)
	}
	return reg, watcher
}

// site is an application of a framework on a server of its own.
type site struct {
	t      *testing.T
	f      framework
	reg    *shoal.Registry
	server *httptest.Server
	client *http.Client
	stop   func() // ends the server when the requests that it serves have ended
}

func newSite(t *testing.T, f framework, opts httpmetrics.Opts, routes ...route) *site {
	t.Helper()
	return newSiteBehind(t, f, opts, func(app http.Handler) http.Handler { return app }, routes...)
}

// newSiteBehind has something around the application.
func newSiteBehind(t *testing.T, f framework, opts httpmetrics.Opts, around func(http.Handler) http.Handler, routes ...route) *site {
	t.Helper()
	reg := shoaltest.New(t)
	s := siteOf(t, reg, around(f.build(reg, opts, routes)))
	s.f = f
	return s
}

// siteOf serves a handler that records in reg. Each of change may alter the server.
func siteOf(t *testing.T, reg *shoal.Registry, h http.Handler, change ...func(*http.Server)) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, c := range change {
		c(server.Config)
	}
	server.Start()
	s := &site{t: t, reg: reg, server: server, stop: server.Close, client: newClient()}
	t.Cleanup(s.stop)
	return s
}

func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// do sends a request and returns status and body; 0 if there was no answer.
func (s *site) do(method, path string, body io.Reader) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.server.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// waitForOne waits until a request is recorded, where a handler outlasts its
// connection.
func (s *site) waitForOne() {
	s.t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if n, _ := s.total(); n > 0 {
			return
		}
	}
}

// wantSize checks the sum of the response sizes of a series.
func (s *site) wantSize(method, route, code string, want float64) {
	s.t.Helper()
	if got := shoaltest.Sum(s.t, s.reg, "http_response_size_bytes", "method", method, "route", route, "code", code); got != want {
		s.t.Errorf("%v bytes recorded, want %v", got, want)
	}
}

// finish waits until all handlers and middlewares are done.
func (s *site) finish() {
	s.stop()
	// A handler of HTTP/2 may return after its connection was closed.
	if !shoaltest.Exists(s.t, s.reg, "http_requests_in_flight", "gauge_index", "0") {
		return
	}
	for limit := time.Now().Add(10 * time.Second); s.inFlight() > 0 && time.Now().Before(limit); time.Sleep(time.Millisecond) {
	}
}

// count is the number of requests with these labels, 0 if there is no series.
func (s *site) count(method, route, code string) float64 {
	s.t.Helper()
	labels := []string{"method", method, "route", route, "code", code}
	if !shoaltest.Exists(s.t, s.reg, "http_requests_total", labels...) {
		return 0
	}
	return shoaltest.Value(s.t, s.reg, "http_requests_total", labels...)
}

// total is the number of all requests, and lists their series.
func (s *site) total() (n float64, series []string) {
	s.t.Helper()
	if err := s.reg.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	families, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "http_requests_total" {
			continue
		}
		for _, m := range family.Metric {
			n += m.Counter.GetValue()
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			series = append(series, strings.Join(labels, " "))
		}
	}
	return n, series
}

func (s *site) inFlight() float64 {
	s.t.Helper()
	return shoaltest.Value(s.t, s.reg, "http_requests_in_flight", "gauge_index", "0")
}

// wantOnly checks that one request was recorded, with these labels, and that
// none is in flight.
func (s *site) wantOnly(method, route, code string) {
	s.t.Helper()
	total, series := s.total()
	if got := s.count(method, route, code); got != 1 || total != 1 {
		s.t.Errorf("want one request %s %s %s, recorded are %v: %v", method, route, code, total, series)
	}
	if got := s.inFlight(); got != 0 {
		s.t.Errorf("%v in flight, want 0", got)
	}
}
