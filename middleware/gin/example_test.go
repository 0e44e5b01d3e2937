// SPDX-License-Identifier: Apache-2.0

package shoalgin_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

func ExampleInstall() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	engine := gin.New()
	shoalgin.Install(engine, reg, shoalgin.Opts{})
	engine.GET("/users/:id", func(c *gin.Context) {
		c.String(http.StatusOK, "user %s", c.Param("id"))
	})
	server := httptest.NewServer(engine)
	defer server.Close()

	fmt.Println(get(server.URL + "/users/7"))
	page := bufio.NewScanner(strings.NewReader(get(server.URL + "/metrics")))
	for page.Scan() {
		if strings.HasPrefix(page.Text(), "http_requests_total") {
			fmt.Println(page.Text())
		}
	}
	// Output:
	// user 7
	// http_requests_total{code="200",method="GET",route="/users/:id"} 1
}

// An authentication learns the tenant, further in than the middleware.
func ExampleSetLabel() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Connect(rdb, shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	engine := gin.New()
	opts := shoalgin.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}}} // no Value: it is set from inside
	shoalgin.Install(engine, reg, opts)
	engine.Use(func(c *gin.Context) {
		shoalgin.SetLabel(c, "tenant", "acme") // in an application: what the token says
	})
	engine.GET("/orders", func(*gin.Context) {})
	server := httptest.NewServer(engine)
	defer server.Close()

	get(server.URL + "/orders")
	page := bufio.NewScanner(strings.NewReader(get(server.URL + "/metrics")))
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

	engine := gin.New()
	shoalgin.Install(engine, reg, shoalgin.Opts{})
	err := shoalgin.Run(ctx, engine, "127.0.0.1:0", reg)
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
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	shoalgin.Install(engine, reg, shoalgin.Opts{})
	err = shoalgin.RunListener(ctx, engine, l, reg)
	_, gone := os.Stat(path)
	fmt.Println(err, errors.Is(gone, os.ErrNotExist))
	// Output: <nil> true
}

func get(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}
