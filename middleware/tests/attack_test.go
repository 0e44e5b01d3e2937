// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// attack sends one request per line, each on a connection of its own where the
// server closes it, and reads the answers away.
func attack(t *testing.T, addr string, requests []string) {
	t.Helper()
	for _, request := range requests {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request)
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		_ = conn.Close()
	}
}

// randomRequests draws from a fixed seed, so that a failure can be repeated.
func randomRequests(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789._~%2f-"
		b := make([]byte, 1+rnd.IntN(12))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return string(b)
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "get", "PROPFIND", "PRI"}
	paths := []func() string{
		func() string { return "/" + word() },
		func() string { return "/users/" + word() },
		func() string { return "/users/" + word() + "/" },
		func() string { return "/tree/" + word() },
		func() string { return "/tree/" + word() + "/" },
		func() string { return "//" + word() + "/../users/" + word() },
		func() string { return "/users/%ff%00" + word() },
		func() string { return "/users/" + word() + "?" + word() + "=" + word() },
		func() string { return "http://" + word() + ".example/users/" + word() },
		func() string { return "/metrics/" + word() },
		func() string { return "*" },
		func() string { return word() + ":443" },
	}
	var requests []string
	for range n {
		method := methods[rnd.IntN(len(methods))]
		if rnd.IntN(4) == 0 {
			method = strings.ToUpper(strings.NewReplacer("%", "", "~", "", ".", "").Replace("X" + word()))
		}
		requests = append(requests, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s.example\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\nX-HTTP-Method-Override: %s\r\nConnection: close\r\n\r\n",
			method, paths[rnd.IntN(len(paths))](), word(), word(), word(), word()))
	}
	return requests
}

func TestAttackCannotGrowTheNumberOfSeries(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{},
			route{"GET", "/users/{id}", text("user")},
			route{"POST", "/users/{id}", text("user")},
			route{"GET", "/tree/{name}/", text("tree")},
			route{"CONNECT", "/tree/{name}/", text("tree")})
		attack(t, s.server.Listener.Addr().String(), randomRequests(800))
		s.finish()
		_, series := s.total()
		allowed := map[string]bool{"unmatched": true, f.pattern("/users/{id}"): true,
			f.pattern("/tree/{name}/"): true, f.pattern("/tree/{name}"): true}
		methods := map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true,
			"DELETE": true, "CONNECT": true, "OPTIONS": true, "TRACE": true, "other": true}
		for _, line := range series {
			for pair := range strings.SplitSeq(line, " ") {
				name, value, _ := strings.Cut(pair, "=")
				if (name == "route" && !allowed[value]) || (name == "method" && !methods[value]) {
					t.Errorf("a client chose the label %s=%q", name, value)
				}
			}
		}
		if len(series) < 5 || len(series) > 60 {
			t.Errorf("%d series:\n%s", len(series), strings.Join(series, "\n"))
		}
		if got := s.inFlight(); got != 0 {
			t.Errorf("%v in flight after the attack, want 0", got)
		}
	})
}
