// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// message is that of all procedures.
type message = wrapperspb.StringValue

// The procedures of a service, as generated code names them.
const (
	service  = "/shop.v1.Orders/"
	getOrder = service + "Get"
	watch    = service + "Watch"
	chat     = service + "Chat"
)

// orders is a handler as generated code makes it: for all that is below its prefix. A
// stream sends one message, and then waits for until.
func orders(until <-chan struct{}, options ...connect.HandlerOption) (prefix string, h http.Handler) {
	handlers := map[string]http.Handler{
		getOrder: connect.NewUnaryHandler(getOrder, func(_ context.Context, r *connect.Request[message]) (*connect.Response[message], error) {
			if r.Msg.GetValue() == "nothing" {
				return nil, connect.NewError(connect.CodeNotFound, errors.New("no such order"))
			}
			return connect.NewResponse(r.Msg), nil
		}, options...),
		watch: connect.NewServerStreamHandler(watch, func(_ context.Context, r *connect.Request[message], s *connect.ServerStream[message]) error {
			err := s.Send(r.Msg)
			<-until
			return err
		}, options...),
		chat: connect.NewBidiStreamHandler(chat, func(_ context.Context, s *connect.BidiStream[message, message]) error {
			m, err := s.Receive()
			if err == nil {
				err = s.Send(m)
			}
			<-until
			return err
		}, options...),
	}
	return service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// connectProtocols are what a Connect handler understands.
var connectProtocols = map[string]connect.ClientOption{
	"Connect":  connect.WithClientOptions(),
	"gRPC":     connect.WithGRPC(),
	"gRPC-Web": connect.WithGRPCWeb(),
}

// overHTTP2 serves HTTP/2 without TLS, and has a client that speaks it.
func overHTTP2(t *testing.T, reg *shoal.Registry, h http.Handler) *site {
	s := siteOf(t, reg, h, func(server *http.Server) { server.Protocols = unencrypted() })
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: only}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
	return s
}

func (s *site) caller(procedure string, options ...connect.ClientOption) *connect.Client[message, message] {
	return connect.NewClient[message, message](s.client, s.server.URL+procedure, options...)
}

// mounted has a route for each procedure, and one for the rest of the service.
func mounted(reg *shoal.Registry, opts httpmetrics.Opts, until <-chan struct{}, options ...connect.HandlerOption) http.Handler {
	mux := http.NewServeMux()
	prefix, h := orders(until, options...)
	for _, pattern := range []string{prefix, getOrder, watch, chat} {
		mux.Handle(pattern, h)
	}
	return shoalhttp.Install(mux, reg, opts)
}

func TestConnectRPC_AUnaryCallIsARequestOfItsProcedure(t *testing.T) {
	for name, protocol := range connectProtocols {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			s := overHTTP2(t, reg, mounted(reg, httpmetrics.Opts{}, nil))
			for _, order := range []string{"7", "nothing"} {
				_, err := s.caller(getOrder, protocol).CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(order)))
				if failed := connect.CodeOf(err) == connect.CodeNotFound; failed != (order == "nothing") {
					t.Errorf("order %s: %v", order, err)
				}
			}
			s.finish()
			want := map[string]float64{"200": 1, "404": 1}
			if name != "Connect" {
				want = map[string]float64{"200": 2} // the status of gRPC is a trailer
			}
			for code, n := range want {
				if got := s.count("POST", getOrder, code); got != n {
					t.Errorf("%v recorded with %s, want %v", got, code, n)
				}
			}
			if total, series := s.total(); total != 2 || s.inFlight() != 0 {
				t.Errorf("%v recorded, %v in flight, want 2 and 0: %v", total, s.inFlight(), series)
			}
		})
	}
}

func TestConnectRPC_AStreamIsRecordedWhenItBegins(t *testing.T) {
	for name, protocol := range connectProtocols {
		for _, procedure := range []string{watch, chat} {
			t.Run(name+procedure, func(t *testing.T) {
				reg, until := shoaltest.New(t), make(chan struct{})
				s := overHTTP2(t, reg, mounted(reg, httpmetrics.Opts{ResponseSize: true}, until))
				var first *message
				var err error
				var end func() error
				if procedure == watch {
					var stream *connect.ServerStreamForClient[message]
					stream, err = s.caller(watch, protocol).CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("a")))
					if err == nil && stream.Receive() {
						first = stream.Msg()
					}
					end = func() error {
						for stream.Receive() {
						}
						return errors.Join(stream.Err(), stream.Close())
					}
				} else {
					stream := s.caller(chat, protocol).CallBidiStream(t.Context())
					if err = stream.Send(wrapperspb.String("a")); err == nil {
						first, err = stream.Receive()
					}
					end = func() error {
						_, err := stream.Receive()
						if errors.Is(err, io.EOF) {
							err = nil
						}
						return errors.Join(err, stream.CloseRequest(), stream.CloseResponse())
					}
				}
				if err != nil || first.GetValue() != "a" {
					t.Fatalf("the first message is %v: %v", first, err)
				}
				if got := s.count("POST", procedure, "200"); got != 1 {
					t.Errorf("%v recorded while it runs, want 1", got)
				}
				if got := s.inFlight(); got != 1 {
					t.Errorf("%v in flight while it runs, want 1", got)
				}
				close(until)
				if err := end(); err != nil {
					t.Errorf("the stream ended with %v", err)
				}
				s.finish()
				s.wantOnly("POST", procedure, "200")
				if got := shoaltest.Value(t, reg, "http_response_size_bytes", "method", "POST", "route", procedure, "code", "200"); got != 0 {
					t.Errorf("%v sizes observed, want none", got)
				}
			})
		}
	}
}

// Who asks for procedures that do not exist makes one series.
func TestConnectRPC_UnknownProceduresShareTheRouteOfTheService(t *testing.T) {
	known := map[string]bool{getOrder: true, watch: true, chat: true}
	for name, build := range map[string]func(reg *shoal.Registry) http.Handler{
		"a pattern for each procedure": func(reg *shoal.Registry) http.Handler { return mounted(reg, httpmetrics.Opts{}, nil) },
		"by Route": func(reg *shoal.Registry) http.Handler {
			mux := http.NewServeMux()
			mux.Handle(orders(nil))
			return shoalhttp.Install(mux, reg, shoalhttp.Opts{Route: func(r *http.Request) string {
				if known[r.URL.Path] {
					return r.URL.Path
				}
				return "" // then it is the pattern of the mux
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			s := overHTTP2(t, reg, build(reg))
			for i := range 50 {
				_, _ = s.caller(fmt.Sprint(service, "Unknown", i)).CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("")))
			}
			if _, err := s.caller(getOrder).CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(""))); err != nil {
				t.Error(err)
			}
			s.finish()
			if got := s.count("POST", service, "404"); got != 50 {
				t.Errorf("%v recorded under %s, want 50", got, service)
			}
			if total, series := s.total(); total != 51 || len(series) != 2 || s.count("POST", getOrder, "200") != 1 {
				t.Errorf("%v recorded: %v", total, series)
			}
		})
	}
}

// rpcLabels sets the labels rpc_code, of unary calls, and tenant, of all.
type rpcLabels struct{}

func (rpcLabels) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		httpmetrics.SetLabel(ctx, "tenant", r.Header().Get("Tenant"))
		answer, err := next(ctx, r)
		code := "ok"
		if err != nil {
			code = connect.CodeOf(err).String()
		}
		httpmetrics.SetLabel(ctx, "rpc_code", code)
		return answer, err
	}
}

func (rpcLabels) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (rpcLabels) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error {
		httpmetrics.SetLabel(ctx, "tenant", c.RequestHeader().Get("Tenant"))
		return next(ctx, c)
	}
}

func TestConnectRPC_AnInterceptorSetsLabels(t *testing.T) {
	opts := httpmetrics.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}, {Name: "rpc_code"}}}
	for name, protocol := range connectProtocols {
		t.Run(name, func(t *testing.T) {
			reg, until := shoaltest.New(t), make(chan struct{})
			close(until)
			s := overHTTP2(t, reg, mounted(reg, opts, until, connect.WithInterceptors(rpcLabels{})))
			for _, order := range []string{"7", "nothing"} {
				r := connect.NewRequest(wrapperspb.String(order))
				r.Header().Set("Tenant", "a")
				_, _ = s.caller(getOrder, protocol).CallUnary(t.Context(), r)
			}
			r := connect.NewRequest(wrapperspb.String("x"))
			r.Header().Set("Tenant", "b")
			stream, err := s.caller(watch, protocol).CallServerStream(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for stream.Receive() {
			}
			_ = stream.Close()
			s.finish()
			_, series := s.total()
			all := strings.Join(series, "\n") + "\n"
			notFound := "code=404"
			if name != "Connect" {
				notFound = "code=200"
			}
			for _, want := range []string{
				"code=200 method=POST route=" + getOrder + " rpc_code=ok tenant=a\n",
				notFound + " method=POST route=" + getOrder + " rpc_code=not_found tenant=a\n",
				"code=200 method=POST route=" + watch + " tenant=b\n",
			} {
				if !strings.Contains(all, want) {
					t.Errorf("no series %s, but\n%s", want, all)
				}
			}
		})
	}
}
