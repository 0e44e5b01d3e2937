// SPDX-License-Identifier: Apache-2.0

// Server is the server for wrk: twenty routes of net/http, and with REDIS_URL the
// middleware. It prints the address where it listens, and ends at the end of its
// input, so that it does not outlive the process that started it.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

func main() {
	redis := os.Getenv("REDIS_URL") // not an argument, which everybody on the machine can read
	mux := http.NewServeMux()
	for i := range 20 {
		mux.HandleFunc(fmt.Sprintf("GET /shops/{shop}/section%d/{item}", i), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ok"))
		})
	}
	var handler http.Handler = mux
	if redis != "" {
		if err := shoal.Default().Open(redis, shoal.Opts{App: "wrk"}); err != nil {
			log.Fatal(err)
		}
		handler = shoalhttp.Install(mux, shoal.Default(), shoalhttp.Opts{})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go func() { log.Fatal(httpmetrics.NewServer("", handler).Serve(listener)) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
