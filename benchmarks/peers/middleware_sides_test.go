// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/http"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimetrics "github.com/go-chi/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
	slokprom "github.com/slok/go-http-metrics/metrics/prometheus"
	slok "github.com/slok/go-http-metrics/middleware"
	slokgin "github.com/slok/go-http-metrics/middleware/gin"
	slokstd "github.com/slok/go-http-metrics/middleware/std"
	ginprometheus "github.com/zsais/go-gin-prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// Each middleware is set up as its documentation says, with its defaults, and gets the
// route's pattern if that is possible. (slok's would otherwise take the path.)

func answer(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }

var netHTTP = []side{
	{"nethttp", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return httpApp{mux(nil)}, nil
	}},
	{"nethttp", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		reg := connectedAsUsual(tb)
		return httpApp{shoalhttp.Install(mux(nil), reg, shoalhttp.Opts{})}, reg
	}},
	{"nethttp", "slok", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(false)
		return httpApp{mux(func(route string, h http.Handler) http.Handler { return slokstd.Handler(route, m, h) })}, page
	}},
	{"nethttp", "slok-without-size", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(true)
		return httpApp{mux(func(route string, h http.Handler) http.Handler { return slokstd.Handler(route, m, h) })}, page
	}},
	{"nethttp", "promhttp", func(testing.TB) (app, prometheus.Gatherer) {
		page := prometheus.NewRegistry()
		labels := []string{"handler", "method", "code"}
		total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, labels)
		duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, labels)
		inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
		page.MustRegister(total, duration, inFlight)
		return httpApp{mux(func(route string, h http.Handler) http.Handler {
			route = route[len("GET "):]
			handler := prometheus.Labels{"handler": route}
			return promhttp.InstrumentHandlerInFlight(inFlight,
				promhttp.InstrumentHandlerDuration(duration.MustCurryWith(handler),
					promhttp.InstrumentHandlerCounter(total.MustCurryWith(handler), h)))
		})}, page
	}},
	{"nethttp", "otelhttp", func(testing.TB) (app, prometheus.Gatherer) {
		provider, page := openTelemetry()
		return httpApp{otelhttp.NewHandler(mux(nil), "server", otelhttp.WithMeterProvider(provider))}, page
	}},
}

// mux has a handler for each route, wrapped or not.
func mux(wrap func(route string, h http.Handler) http.Handler) *http.ServeMux {
	m := http.NewServeMux()
	for _, pattern := range braces {
		h := http.Handler(http.HandlerFunc(answer))
		if wrap != nil {
			h = wrap("GET "+pattern, h)
		}
		m.Handle("GET "+pattern, h)
	}
	return m
}

func slokMiddleware(withoutSize bool) (slok.Middleware, prometheus.Gatherer) {
	page := prometheus.NewRegistry()
	recorder := slokprom.NewRecorder(slokprom.Config{Registry: page})
	return slok.New(slok.Config{Recorder: recorder, DisableMeasureSize: withoutSize}), page
}

// openTelemetry has the SDK's metrics and Prometheus's exporter, and no exporter of
// spans.
func openTelemetry() (*metric.MeterProvider, prometheus.Gatherer) {
	page := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(page))
	if err != nil {
		panic(err)
	}
	return metric.NewMeterProvider(metric.WithReader(exporter)), page
}

var chiRouter = []side{
	{"chi", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return chiRoutes(chi.NewRouter(), nil), nil
	}},
	{"chi", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		r, reg := chi.NewRouter(), connectedAsUsual(tb)
		shoalchi.Install(r, reg, shoalchi.Opts{})
		return chiRoutes(r, nil), reg
	}},
	{"chi", "slok", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(false)
		return chiRoutes(chi.NewRouter(), &m), page
	}},
	{"chi", "slok-without-size", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(true)
		return chiRoutes(chi.NewRouter(), &m), page
	}},
	{"chi", "go-chi-metrics", func(testing.TB) (app, prometheus.Gatherer) {
		r := chi.NewRouter()
		r.Use(chimetrics.Collector(chimetrics.CollectorOpts{Proto: true}))
		return chiRoutes(r, nil), prometheus.DefaultGatherer
	}},
}

func chiRoutes(r *chi.Mux, m *slok.Middleware) app {
	for _, pattern := range braces {
		if m == nil {
			r.Get(pattern, answer)
		} else {
			r.With(slokstd.HandlerProvider(pattern, *m)).Get(pattern, answer)
		}
	}
	return httpApp{r}
}

var ginEngine = []side{
	{"gin", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return ginRoutes(newGin()), nil
	}},
	{"gin", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		engine, reg := newGin(), connectedAsUsual(tb)
		shoalgin.Install(engine, reg, shoalgin.Opts{})
		return ginRoutes(engine), reg
	}},
	{"gin", "slok", func(testing.TB) (app, prometheus.Gatherer) {
		engine := newGin()
		m, page := slokMiddleware(false)
		engine.Use(slokgin.Handler("", m))
		return ginRoutes(engine), page
	}},
	{"gin", "slok-without-size", func(testing.TB) (app, prometheus.Gatherer) {
		engine := newGin()
		m, page := slokMiddleware(true)
		engine.Use(slokgin.Handler("", m))
		return ginRoutes(engine), page
	}},
	{"gin", "go-gin-prometheus", func(testing.TB) (app, prometheus.Gatherer) {
		engine := newGin()
		ginPrometheus().Use(engine)
		return ginRoutes(engine), prometheus.DefaultGatherer
	}},
	{"gin", "otelgin", func(testing.TB) (app, prometheus.Gatherer) {
		engine := newGin()
		provider, page := openTelemetry()
		engine.Use(otelgin.Middleware("server", otelgin.WithMeterProvider(provider)))
		return ginRoutes(engine), page
	}},
}

// ginPrometheus can register its metrics only once in a process.
var ginPrometheus = sync.OnceValue(func() *ginprometheus.Prometheus {
	p := ginprometheus.NewPrometheus("gin")
	p.ReqCntURLLabelMappingFn = func(c *gin.Context) string { return c.FullPath() }
	return p
})

func newGin() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	return gin.New()
}

func ginRoutes(engine *gin.Engine) app {
	for _, pattern := range colons {
		engine.GET(pattern, func(c *gin.Context) { _, _ = c.Writer.Write(body) })
	}
	return httpApp{engine}
}
