// SPDX-License-Identifier: Apache-2.0

package shoalfiber_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofiber/fiber/v2"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiberv2"
)

func ExampleInstall() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	app.Get("/users/:id", func(c *fiber.Ctx) error {
		return c.SendString("user " + c.Params("id"))
	})

	fmt.Println(get(app, "/users/7"))
	page := bufio.NewScanner(strings.NewReader(get(app, "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output:
	// user 7
	// http_requests_total{code="200",method="GET",route="/users/:id"} 1
}

// The tenant is known only when the authentication has run.
func ExampleSetLabel() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	shoalfiber.Install(app, reg, shoalfiber.Opts{Labels: []shoalfiber.Label{{Name: "tenant"}}})
	app.Use(func(c *fiber.Ctx) error {
		shoalfiber.SetLabel(c, "tenant", "acme")
		return c.Next()
	})
	app.Get("/orders", func(c *fiber.Ctx) error { return c.SendString("none") })

	get(app, "/orders")
	page := bufio.NewScanner(strings.NewReader(get(app, "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output: http_requests_total{code="200",method="GET",route="/orders",tenant="acme"} 1
}

func ExampleRun() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})

	// In an application:
	//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	//	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	err := shoalfiber.Run(ctx, app, "127.0.0.1:0", reg)
	fmt.Println("drained and delivered:", err == nil)
	// Output: drained and delivered: true
}

// A unix socket. RunListener closes it, which removes its file, whatever happens.
func ExampleRunListener() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // in an application: as for Run

	dir, _ := os.MkdirTemp("", "shop")
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		return
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	shoalfiber.Install(app, reg, shoalfiber.Opts{})
	err = shoalfiber.RunListener(ctx, app, l, reg)
	_, gone := os.Stat(path)
	fmt.Println(err, errors.Is(gone, os.ErrNotExist))
	// Output: <nil> true
}

func get(app *fiber.App, target string) string {
	res, err := app.Test(httptest.NewRequest("GET", target, nil))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}
