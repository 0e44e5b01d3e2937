// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	"github.com/valyala/fasthttp"
)

func ExampleInstall() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	users := func(ctx *fasthttp.RequestCtx) {
		ctx.SetUserValue("route", "/users/{id}") // most routers do so
		_, _ = fmt.Fprintf(ctx, "user %s", bytes.TrimPrefix(ctx.Path(), []byte("/users/")))
	}
	handler := shoalfasthttp.Install(users, reg, shoalfasthttp.Opts{
		Route: func(ctx *fasthttp.RequestCtx) string { return ctx.UserValue("route").(string) },
	})

	fmt.Println(get(handler, "/users/7"))
	page := bufio.NewScanner(strings.NewReader(get(handler, "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output:
	// user 7
	// http_requests_total{code="200",method="GET",route="/users/{id}"} 1
}

func ExampleRun() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})

	// In an application:
	//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	//	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	server := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
	err := shoalfasthttp.Run(ctx, server, "127.0.0.1:0", reg)
	fmt.Println("drained and delivered:", err == nil)
	// Output: drained and delivered: true
}

// get has a handler serve a request without a connection.
func get(handler fasthttp.RequestHandler, uri string) string {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.SetRequestURI(uri)
	handler(&ctx)
	return string(ctx.Response.Body())
}
