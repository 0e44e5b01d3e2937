// SPDX-License-Identifier: Apache-2.0

// Command shop serves one request and prints the page that tells of it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/embedded"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

func main() {
	redis, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer redis.Close()
	reg := shoal.New()
	if err := reg.Open(redis.URL(), shoal.Opts{App: "shop"}); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = reg.Close(context.Background()) }()

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	shoalgin.Install(engine, reg, shoalgin.Opts{})
	engine.GET("/users/:id", func(c *gin.Context) { c.Status(http.StatusOK) })
	server := httptest.NewServer(engine)
	defer server.Close()
	get(server.URL + "/users/7")
	fmt.Print(get(server.URL + "/metrics"))
}

func get(url string) string {
	res, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		log.Fatal(url, res.Status, err)
	}
	return string(body)
}
