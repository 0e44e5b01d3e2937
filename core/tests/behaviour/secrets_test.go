// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// secret is the password of all tests here, in the spelling of a URL and as it
// is sent. The client's own log is watched for it by [silence].
const secret = "s3cret-p%40ss"

// tells says whether a text gives the secret away.
func tells(text string) bool {
	return strings.Contains(text, "s3cret") || strings.Contains(text, "p@ss")
}

// toldByClient counts the lines of the client's log, which is one for the whole
// program, that gave the secret away.
func toldByClient() int {
	clientLog.mu.Lock()
	defer clientLog.mu.Unlock()
	n := 0
	for _, line := range clientLog.lines {
		if tells(line) {
			n++
		}
	}
	return n
}

// everything is all that a registry tells of its troubles.
func everything(t *testing.T, url string, opts shoal.Opts) string {
	t.Helper()
	log, reg := new(syncWriter), shoal.New()
	opts.OnError = nil // what it would hear is logged
	opts.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug}))
	if err := reg.Open(url, opts); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	rec, _ := get(reg, "0.7")
	_, gathered := reg.Gather()
	_, instances := reg.Instances(shortly(t))
	flushed, closed := reg.Flush(shortly(t)), reg.Close(shortly(t))
	if rec.Code == 200 || gathered == nil || instances == nil || flushed == nil || closed == nil || log.text() == "" {
		t.Errorf("no trouble: %d, %v, %v, %v, %v, %q", rec.Code, gathered, instances, flushed, closed, log.text())
	}
	return strings.Join([]string{
		rec.Body.String(), fmt.Sprint(rec.Header(), gathered, instances, flushed, closed), log.text(),
	}, "\n")
}

// syncWriter is a log that may be read while it is written.
type syncWriter struct{ heard }

func (w *syncWriter) Write(b []byte) (int, error) {
	w.add(errors.New(string(b)))
	return len(b), nil
}

func (w *syncWriter) text() string { return w.all() }

// Whatever kind of Redis the URL names, and whatever goes wrong there.
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
			opts := (&fleet{app: appOf(t)}).quick()
			text := everything(t, url+dialShortly(url), opts)
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
	t.Cleanup(func() { // after the parallel ones
		if n := toldByClient(); n > 0 {
			t.Errorf("%d lines of the client's log tell the secret", n)
		}
	})
}

func dialShortly(url string) string {
	if strings.Contains(url, "?") {
		return "&dial_timeout=500ms"
	}
	return "?dial_timeout=500ms"
}

// When all goes well neither the page nor what is stored has it.
func TestSecrets_AreInNoMetric(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client(t)
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">s3cret-p@ss", "~*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	f := fleetOn(t, server)
	reg := shoal.New()
	if err := reg.Open("redis://shop:"+secret+"@"+server.Addr, f.quick()); err != nil {
		t.Fatal(err)
	}
	requests(reg, 10)
	flush(t, reg)
	page := scrape(t, reg).text
	var stored strings.Builder
	for key, text := range dump(t, admin) {
		stored.WriteString(key + " " + text + "\n")
	}
	if tells(page) || tells(stored.String()) || !strings.Contains(stored.String(), "jobs_total") {
		t.Errorf("the secret is told:\n%s\n%s", page, stored.String())
	}
	if clients := admin.ClientList(t.Context()).Val(); tells(clients) {
		t.Errorf("the secret is told:\n%s", clients)
	}
	closeAll(t, reg)
}
