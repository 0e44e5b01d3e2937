// SPDX-License-Identifier: Apache-2.0

package shoalfiber_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/gofiber/fiber/v2/middleware/logger"
	recovermw "github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/gofiber/fiber/v2/middleware/timeout"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiberv2"
)

var errMissing = errors.New("missing")

// serve sends a request and returns what the client gets.
func serve(t *testing.T, app *fiber.App, method, target string) (status int, body string) {
	t.Helper()
	res, err := app.Test(httptest.NewRequestWithContext(t.Context(), method, target, nil), 30_000)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// wantOne checks that exactly one request was recorded, with these labels, and that none
// is in flight.
func wantOne(t *testing.T, reg *shoal.Registry, method, route, code string) {
	t.Helper()
	var all []string
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() != "http_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue()
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			all = append(all, strings.Join(labels, " "))
		}
	}
	if want := strings.Join([]string{code, method, route}, " "); total != 1 || all[0] != want {
		t.Errorf("%v requests recorded: %q, want %q", total, all, want)
	}
	if n := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); n != 0 {
		t.Errorf("%v in flight, want 0", n)
	}
}

func TestStatusOfAnErrorIsWhatTheErrorHandlerSendsAndItRunsOnce(t *testing.T) {
	for _, tt := range []struct {
		promise string
		handler fiber.Handler
		code    int
		label   string
		handled int
	}{
		{"an error of fiber's", func(*fiber.Ctx) error { return fiber.NewError(418, "no") }, 418, "418", 1},
		{"any other error", func(*fiber.Ctx) error { return errors.New("boom") }, 500, "500", 1},
		{"an error that the application maps", func(*fiber.Ctx) error { return errMissing }, 404, "404", 1},
		{"error after an answer", func(c *fiber.Ctx) error { _ = c.SendStatus(202); return errMissing }, 404, "404", 1},
		{"no error", ok, 200, "200", 0},
		{"nothing written", func(*fiber.Ctx) error { return nil }, 200, "200", 0},
		{"not found said by the handler keeps its route", func(*fiber.Ctx) error { return fiber.ErrNotFound }, 404, "404", 1},
		{"an error that the error handler cannot handle", func(*fiber.Ctx) error { return io.ErrUnexpectedEOF }, 500, "500", 1},
	} {
		t.Run(tt.promise, func(t *testing.T) {
			reg, handled := shoaltest.New(t), 0
			app := fiber.New(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
				handled++
				switch {
				case errors.Is(err, errMissing):
					return c.SendStatus(404)
				case errors.Is(err, io.ErrUnexpectedEOF):
					return err
				}
				return fiber.DefaultErrorHandler(c, err)
			}})
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Use(logger.New(logger.Config{Output: io.Discard})) // it calls the error handler, too
			app.Get("/x", tt.handler)
			status, _ := serve(t, app, "GET", "/x")
			if status != tt.code {
				t.Errorf("the client got %d, want %d", status, tt.code)
			}
			wantOne(t, reg, "GET", "/x", tt.label)
			if handled != tt.handled {
				t.Errorf("the error handler ran %d times, want %d", handled, tt.handled)
			}
		})
	}
}

func passing(c *fiber.Ctx) error { return c.Next() }

func TestRouteIsThePatternOfTheRouter(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a.txt", []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		promise, method, target, route, code string
	}{
		{"of the router", "GET", "/users/7", "/users/:id", "200"},
		{"in the spelling of the route", "GET", "/USERS/7/", "/users/:id", "200"},
		{"with a constraint", "GET", "/orders/7", "/orders/:id<int>", "200"},
		{"unmatched where the constraint does not hold", "GET", "/orders/x", "unmatched", "404"},
		{"with an optional parameter", "GET", "/maybe", "/maybe/:id?", "200"},
		{"of a group", "GET", "/api/items/7", "/api/items/:id", "200"},
		{"of a group in a group", "GET", "/api/v2/items/7", "/api/v2/items/:id", "200"},
		{"unmatched below a group with a middleware", "GET", "/api/nothing", "unmatched", "404"},
		{"of a mounted app", "GET", "/mounted/items/7", "/mounted/items/:id", "200"},
		{"unmatched below a mounted app", "GET", "/mounted/nothing", "unmatched", "404"},
		{"of the rest of the path", "GET", "/files/a/b", "/files/*", "200"},
		{"of more than one segment", "GET", "/plus/a/b", "/plus/+", "200"},
		{"of a middleware that answers below its path", "GET", "/static/a.txt", "/static", "200"},
		{"unmatched if that has nothing", "GET", "/static/b.txt", "unmatched", "404"},
		{"unmatched for a middleware of all paths that answers", "GET", "/refused", "unmatched", "401"},
		{"of the route that goes on to nothing", "GET", "/onward", "/onward", "404"},
		{"of a route for all methods", "PATCH", "/all", "/all", "200"},
		{"the root", "GET", "/", "/", "200"},
		{"unmatched for 404", "GET", "/nothing", "unmatched", "404"},
		{"unmatched for 405", "POST", "/users/7", "unmatched", "405"},
		{"of GET for HEAD, which fiber serves", "HEAD", "/users/7", "/users/:id", "200"},
	} {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			app := newApp()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Use(func(c *fiber.Ctx) error {
				if c.Path() == "/refused" {
					return fiber.ErrUnauthorized
				}
				return c.Next()
			})
			app.Get("/", ok)
			app.Get("/users/:id", ok)
			app.Get("/orders/:id<int>", ok)
			app.Get("/maybe/:id?", ok)
			app.Get("/files/*", ok)
			app.Get("/plus/+", ok)
			app.Get("/onward", passing)
			app.All("/all", ok)
			api := app.Group("/api", passing)
			api.Get("/items/:id", ok)
			api.Group("/v2").Get("/items/:id", ok)
			mount(app, "/mounted")
			serveFiles(app, "/static", dir)
			serve(t, app, tt.method, tt.target)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
	}
}

func mount(app *fiber.App, path string) {
	inner := newApp()
	inner.Get("/items/:id", ok)
	app.Mount(path, inner)
}

func serveFiles(app *fiber.App, path, dir string) { app.Static(path, dir) }

func TestInstall_AfterRoutesPanics(t *testing.T) {
	app := newApp()
	app.Get("/early", ok)
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "GET /early") || !strings.Contains(said, "call Install before") {
			t.Errorf("it says %q", said)
		}
	}()
	shoalfiber.Install(app, shoaltest.New(t), shoalfiber.Opts{})
}

// A last middleware that answers what has no route is what fiber's documentation proposes
// for pages of one's own.
func TestPageOfOnesOwnForNotFoundIsUnmatched(t *testing.T) {
	reg := shoaltest.New(t)
	app := newApp()
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	app.Get("/x", ok)
	app.Use(func(c *fiber.Ctx) error { return c.Status(404).SendString("nothing here") })
	serve(t, app, "GET", "/y")
	wantOne(t, reg, "GET", "unmatched", "404")
}

func TestErrorOfAMountedAppIsMappedByIts(t *testing.T) {
	reg := shoaltest.New(t)
	inner := fiber.New(fiber.Config{ErrorHandler: func(c *fiber.Ctx, _ error) error { return c.SendStatus(418) }})
	inner.Get("/x", func(*fiber.Ctx) error { return errMissing })
	app := newApp()
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	app.Mount("/inner", inner)
	if status, _ := serve(t, app, "GET", "/inner/x"); status != 418 {
		t.Errorf("the client got %d", status)
	}
	wantOne(t, reg, "GET", "/inner/x", "418")
}

func TestPanicIs500WhereverItIsRecovered(t *testing.T) {
	for promise, build := range map[string]func(app *fiber.App, reg *shoal.Registry){
		"outside": func(app *fiber.App, reg *shoal.Registry) {
			app.Use(recovermw.New())
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
		},
		"inside": func(app *fiber.App, reg *shoal.Registry) {
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Use(recovermw.New())
		},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			app := newApp()
			build(app, reg)
			app.Get("/x", func(c *fiber.Ctx) error { c.Status(202); panic("boom") })
			if status, _ := serve(t, app, "GET", "/x"); status != 500 {
				t.Errorf("the client got %d", status)
			}
			wantOne(t, reg, "GET", "/x", "500")
		})
	}
}

func TestPanicOfTheErrorHandlerIs500(t *testing.T) {
	reg := shoaltest.New(t)
	app := fiber.New(fiber.Config{ErrorHandler: func(_ *fiber.Ctx, err error) error {
		if errors.Is(err, errMissing) {
			panic("boom")
		}
		return nil
	}})
	app.Use(recovermw.New())
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	app.Get("/x", func(*fiber.Ctx) error { return errMissing })
	serve(t, app, "GET", "/x")
	wantOne(t, reg, "GET", "/x", "500")
}

// The context of the request is what code gets that knows nothing of fiber.
func TestLabelFromInsideIsSetByTheContextToo(t *testing.T) {
	reg := shoaltest.New(t)
	app := newApp()
	shoalfiber.Install(app, reg, shoalfiber.Opts{Labels: []shoalfiber.Label{{Name: "tenant"}}})
	app.Get("/x", func(c *fiber.Ctx) error {
		httpmetrics.SetLabel(contextOf(c), "tenant", c.Query("tenant"))
		return nil
	})
	serve(t, app, "GET", "/x?tenant=acme")
	if n := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "/x", "code", "200", "tenant", "acme"); n != 1 {
		t.Errorf("%v requests, want 1", n)
	}
}

func TestLabelsAreWhatFiberGives(t *testing.T) {
	reg := shoaltest.New(t)
	app := newApp()
	shoalfiber.Install(app, reg, shoalfiber.Opts{Labels: []shoalfiber.Label{
		{Name: "header", Value: func(c *fiber.Ctx) string { return c.Get("Host") }},
		{Name: "param", Value: func(c *fiber.Ctx) string { return c.Params("id") }},
		{Name: "local", Value: func(c *fiber.Ctx) string { s, _ := c.Locals("user").(string); return s }},
	}})
	app.Get("/users/:id", func(c *fiber.Ctx) error { c.Locals("user", "ann"); return nil })
	serve(t, app, "GET", "/users/7")
	if n := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "/users/:id", "code", "200",
		"header", "example.com", "param", "7", "local", "ann"); n != 1 {
		t.Errorf("%v requests, want 1", n)
	}
}

func TestTimeoutOfFiberIsWhatTheClientGot(t *testing.T) {
	reg := shoaltest.New(t)
	app := newApp()
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	app.Get("/x", timeout.NewWithContext(func(c *fiber.Ctx) error {
		<-c.UserContext().Done()
		return c.UserContext().Err()
	}, time.Millisecond))
	if status, _ := serve(t, app, "GET", "/x"); status != 408 {
		t.Errorf("the client got %d", status)
	}
	wantOne(t, reg, "GET", "/x", "408")
}

func TestPageIsReadableWhatCompressesAroundIt(t *testing.T) {
	reg := shoaltest.New(t)
	app := newApp()
	app.Use(compress.New())
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	for _, accept := range []string{"", "gzip", "br"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", accept)
		res, err := app.Test(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := res.Header.Get("Content-Encoding"); got != accept || len(body) == 0 {
			t.Errorf("for %q it is %q, %d bytes", accept, got, len(body))
		}
	}
}

// raw sends bytes to app on a connection and returns what comes back.
func raw(t *testing.T, app *fiber.App, request string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app.Handler()
	served := make(chan error, 1)
	go func() { served <- app.Server().Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request)
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	_ = l.Close()
	<-served
	if err := app.ShutdownWithTimeout(30 * time.Second); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	return string(answer)
}

// fasthttp refuses some requests before they have a handler, as net/http does.
func TestRequestThatFastHTTPRefusesIsNotRecorded(t *testing.T) {
	for promise, tt := range map[string]struct{ request, status string }{
		"malformed":         {"GET / HTTP/1.1\r\nHost x\r\n\r\n", "HTTP/1.1 400 "},
		"too large":         {"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000), "HTTP/1.1 413 "},
		"too long a header": {"GET /x HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 10_000) + "\r\n\r\n", "HTTP/1.1 431 "},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			app := fiber.New(fiber.Config{BodyLimit: 100})
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Post("/x", ok)
			if answer := raw(t, app, tt.request); !strings.HasPrefix(answer, tt.status) {
				t.Errorf("the client got %q", answer)
			}
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "http_requests_total" {
					t.Errorf("recorded %v", f)
				}
			}
		})
	}
}

func TestGuard_ThePageIsOpenOnlyToThoseWhoMayReadIt(t *testing.T) {
	auth := func(c *fiber.Ctx) error { return fiber.ErrUnauthorized }
	for promise, tt := range map[string]struct {
		build       func(app *fiber.App, reg *shoal.Registry)
		page, hello int
		recorded    bool // what is refused on /hello
	}{
		"middleware after Install": {func(app *fiber.App, reg *shoal.Registry) {
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Use(auth)
		}, 200, 401, true},
		"middleware before Install": {func(app *fiber.App, reg *shoal.Registry) {
			app.Use(auth)
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
		}, 401, 401, false},
		"middleware before the page": {func(app *fiber.App, reg *shoal.Registry) {
			app.Use(shoalfiber.Middleware(reg, shoalfiber.Opts{}), auth)
			app.Get("/metrics", shoalfiber.Handler(reg, shoal.HandlerOpts{}))
		}, 401, 401, true},
		"the page's middleware": {func(app *fiber.App, reg *shoal.Registry) {
			app.Use(shoalfiber.Middleware(reg, shoalfiber.Opts{}))
			app.Get("/metrics", auth, shoalfiber.Handler(reg, shoal.HandlerOpts{}))
		}, 401, 200, false},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			app := newApp()
			tt.build(app, reg)
			app.Get("/hello", ok)
			if status, _ := serve(t, app, "GET", "/hello"); status != tt.hello {
				t.Errorf("/hello is %d", status)
			}
			if got := shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "unmatched", "code", "401"); got != tt.recorded {
				t.Errorf("what was refused is recorded: %v", got)
			}
			if status, _ := serve(t, app, "GET", "/metrics"); status != tt.page {
				t.Errorf("the page is %d", status)
			}
		})
	}
}

func contextOf(c *fiber.Ctx) context.Context { return c.UserContext() }
