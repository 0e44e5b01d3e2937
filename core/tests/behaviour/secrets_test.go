// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// secret is the password of all tests here, as a URL has it. The log of go-redis must not have
// it either.
const secret = "s3cret-p%40ss"

// tells says whether a text has the secret, as in a URL or as it is sent.
func tells(text string) bool {
	return strings.Contains(text, "s3cret") || strings.Contains(text, "p@ss")
}

// everything is all that a registry returns, answers and logs about its troubles.
func everything(t *testing.T, url string) string {
	t.Helper()
	log := new(testkit.Heard)
	reg := fleetAt(t, url).opened(t, func(o *shoal.Opts) {
		o.OnError = nil // so that troubles are logged
		o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}))
	})
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	rec, _ := testkit.Get(reg, 700*time.Millisecond)
	_, gathered := reg.Gather()
	_, instances := reg.Instances(testkit.Shortly(t))
	flushed, closed := reg.Flush(testkit.Shortly(t)), reg.Close(testkit.Shortly(t))
	if rec.Code == 200 || gathered == nil || instances == nil || flushed == nil || closed == nil || log.String() == "" {
		t.Errorf("no trouble: %d, %v, %v, %v, %v, %q", rec.Code, gathered, instances, flushed, closed, log)
	}
	return fmt.Sprintf("%s\n%v\n%v\n%v\n%v\n%v\n%s", rec.Body, rec.Header(), gathered, instances, flushed, closed, log)
}

// For each kind of Redis that a URL can name, and for each kind of failure.
func TestSecrets_AreInNoErrorLogOrAnswer(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t)
	configure(t, locked, "requirepass", "another")
	tls := redistest.StartTLS(t, redistest.NewAuthority(t), false)
	socket := filepath.Join(t.TempDir(), "none.sock")
	for name, url := range map[string]string{
		"nobody listens":               "redis://shop:" + secret + "@127.0.0.1:1/0",
		"no such host":                 "redis://shop:" + secret + "@no-such-host.invalid/0",
		"TLS, nobody listens":          "rediss://shop:" + secret + "@127.0.0.1:1/0",
		"TLS, unknown authority":       "rediss://shop:" + secret + "@" + tls.Addr,
		"plain to TLS":                 "redis://shop:" + secret + "@" + tls.Addr,
		"file":                         "unix://shop:" + secret + "@" + socket,
		"Cluster":                      "redis://shop:" + secret + "@127.0.0.1:1?addr=127.0.0.1:2&addr=127.0.0.1:3",
		"no Cluster":                   "redis://:another@" + locked.Addr + "?addr=" + locked.Addr,
		"Cluster, wrong password":      "redis://shop:" + secret + "@" + locked.Addr + "?addr=" + locked.Addr,
		"Sentinel":                     "redis://shop:" + secret + "@127.0.0.1:1?master_name=m&addr=127.0.0.1:2",
		"Sentinel that is none":        "redis://shop:" + secret + "@" + locked.Addr + "?master_name=m",
		"WRONGPASS of a user":          "redis://shop:" + secret + "@" + locked.Addr,
		"WRONGPASS":                    "redis://:" + secret + "@" + locked.Addr,
		"WRONGPASS, RESP2":             "redis://:" + secret + "@" + locked.Addr + "?protocol=2",
		"NOAUTH":                       "redis://" + locked.Addr,
		"a database that is not there": "redis://:another@" + locked.Addr + "/99",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := everything(t, url+dialShortly(url))
			if tells(text) || strings.Contains(text, "another") {
				t.Errorf("the secret is told:\n%s", text)
			}
			if name == "nobody listens" && !strings.Contains(text, "dial tcp 127.0.0.1:1: ") {
				t.Errorf("nobody hears which Redis it is:\n%s", text)
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "shoal: the metrics can't be read") &&
					(strings.Contains(line, "127.0.0.1") || strings.Contains(line, ".invalid") || strings.Contains(line, ".sock")) {
					t.Errorf("the page tells where Redis is: %s", line)
				}
			}
		})
	}
	t.Cleanup(func() { // after the parallel subtests
		if tells(clientLog.String()) {
			t.Error("the client's log tells the secret")
		}
	})
}

func dialShortly(url string) string {
	if strings.Contains(url, "?") {
		return "&dial_timeout=500ms"
	}
	return "?dial_timeout=500ms"
}

// Without a failure, neither the page nor Redis's data has the secret.
func TestSecrets_AreInNoMetric(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client(t)
	setUser(t, admin, "shop", "on", ">s3cret-p@ss", "~*", "+@all")
	reg := fleetAt(t, "redis://shop:"+secret+"@"+server.Addr).opened(t)
	requests(reg, 10)
	flush(t, reg)
	page := testkit.Scrape(t, reg).Text
	stored := fmt.Sprint(dump(t, admin))
	if clients := admin.ClientList(t.Context()).Val(); tells(page+stored+clients) || !strings.Contains(stored, "jobs_total") {
		t.Errorf("the secret is told:\n%s\n%s\n%s", page, stored, clients)
	}
	closeAll(t, reg)
}
