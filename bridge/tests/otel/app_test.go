// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// app is an application that knows OpenTelemetry and no shoal: a server of net/http, one of gin
// and one of gRPC, their clients, and instruments of its own.
type app struct {
	web, shop *httptest.Server // net/http and gin
	rpc       *grpc.Server
	conn      *grpc.ClientConn
	client    *http.Client

	jobs    metric.Int64Counter
	open    metric.Int64UpDownCounter
	size    metric.Float64Histogram
	counted int64 // what was added to jobs by the word count
}

// resourceOf is the resource of a process; an empty id is left out.
func resourceOf(id string) *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", "shop"), attribute.String("service.version", "1.2")}
	if id != "" {
		attributes = append(attributes, attribute.String("service.instance.id", id))
	}
	return resource.NewSchemaless(attributes...)
}

func newApp(p *sdkmetric.MeterProvider) (*app, error) {
	gin.SetMode(gin.ReleaseMode)
	a := &app{}
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "user %s", r.PathValue("id"))
	})
	a.web = httptest.NewServer(otelhttp.NewHandler(mux, "web", otelhttp.WithMeterProvider(p)))
	router := gin.New()
	router.Use(otelgin.Middleware("shop", otelgin.WithMeterProvider(p)))
	router.GET("/orders/:id", func(c *gin.Context) { c.String(http.StatusOK, "order %s", c.Param("id")) })
	a.shop = httptest.NewServer(router)
	a.client = &http.Client{Transport: otelhttp.NewTransport(&http.Transport{DialContext: a.dial}, otelhttp.WithMeterProvider(p))}

	a.rpc = grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithMeterProvider(p))))
	grpc_health_v1.RegisterHealthServer(a.rpc, health.NewServer())
	l := bufconn.Listen(1 << 16) // a port of its own would be a label
	go func() { _ = a.rpc.Serve(l) }()
	var err error
	a.conn, err = grpc.NewClient("passthrough:///rpc.test:443", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithMeterProvider(p))),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		return nil, err
	}
	m := p.Meter("shop/jobs", metric.WithInstrumentationVersion("0.3"))
	var errs [3]error
	a.jobs, errs[0] = m.Int64Counter("shop.jobs", metric.WithUnit("{job}"), metric.WithDescription("Jobs done."))
	a.open, errs[1] = m.Int64UpDownCounter("shop.carts", metric.WithDescription("Open carts."))
	a.size, errs[2] = m.Float64Histogram("shop.cart.size", metric.WithUnit("By"), metric.WithDescription("Size of carts."))
	return a, errors.Join(errs[:]...)
}

// dial takes names that are the same in every process, so that they may be labels.
func (a *app) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to := a.web
	if strings.HasPrefix(addr, "shop.test") {
		to = a.shop
	}
	return new(net.Dialer).DialContext(ctx, network, to.Listener.Addr().String())
}

func (a *app) close() {
	a.client.CloseIdleConnections()
	_ = a.conn.Close()
	a.rpc.GracefulStop() // records what has ended and is not recorded yet
	a.web.Close()
	a.shop.Close()
}

// work sends rounds of requests to the three servers.
func (a *app) work(ctx context.Context, rounds int) error {
	for i := range rounds {
		for _, url := range []string{"http://web.test/users/7", "http://web.test/missing", "http://shop.test/orders/7", "http://shop.test/missing"} {
			if err := a.send(ctx, http.MethodGet, url, ""); err != nil {
				return err
			}
		}
		if err := a.send(ctx, http.MethodPost, "http://web.test/users/8", strings.Repeat("x", i%1000)); err != nil {
			return err
		}
		for _, service := range []string{"", "unknown"} {
			_, err := grpc_health_v1.NewHealthClient(a.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
			if (err == nil) != (service == "") {
				return fmt.Errorf("the check of %q: %w", service, err)
			}
		}
		kind := metric.WithAttributes(attribute.String("job.kind", []string{"mail", "bill"}[i%2]))
		a.jobs.Add(ctx, 2, kind)
		a.open.Add(ctx, 1)
		a.size.Record(ctx, float64(i), kind)
	}
	return nil
}

func (a *app) send(ctx context.Context, method, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}
