// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

var nested = strings.Repeat("*1\r\n", 1000)

// forgedReplies go to every kind of client.
var forgedReplies = map[string]forger{
	"a list without an end":         always("*1000000000\r\n"),
	"a map without an end":          always("%1000000000\r\n"),
	"a set without an end":          always("~1000000000\r\n"),
	"a text without an end":         always("$999999999999\r\n"),
	"a text of 4 GB":                endless("$4000000000\r\n", "x"),
	"a verbatim text of 4 GB":       endless("=4000000000\r\n", "x"),
	"a long error":                  always("!999999999999\r\n"),
	"lists in lists":                endless("", nested),
	"maps in maps":                  endless("", "%1\r\n+k\r\n"),
	"lists of lists of lists":       endless("", "*100000\r\n"),
	"an error that does not end":    endless("-ERR ", "no"),
	"a status that does not end":    endless("+", "OK"),
	"a number that does not end":    endless(":", "1"),
	"a bignum that does not end":    endless("*1\r\n(", "1"),
	"errors without an end":         endless("", "-ERR no\r\n"),
	"attributes without an end":     endless("", "|1\r\n+k\r\n+v\r\n"),
	"nested attributes":             endless("", "|1\r\n"),
	"pushes without an end":         endless("", ">2\r\n+message\r\n+m\r\n"),
	"statuses without an end":       endless("", "+OK\r\n"),
	"a streamed text":               endless("$?\r\n", ";4\r\nabcd\r\n"),
	"a port mix-up: HTTP":           always("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n400 Bad Request"),
	"a port mix-up: SSH":            always("SSH-2.0-OpenSSH_9.2\r\n"),
	"noise":                         endless("", "\x00\xff\x80\n"),
	"an empty list":                 always("*0\r\n"),
	"an odd list":                   always("*1\r\n:1\r\n"),
	"nil":                           always("$-1\r\n"),
	"a nil list":                    always("*-1\r\n"),
	"a map with a list for its key": always("%1\r\n*0\r\n+v\r\n"),
	"errors in a list":              always("*4\r\n-ERR a\r\n-ERR b\r\n-ERR c\r\n-ERR d\r\n"),
	"a number":                      always(":9223372036854775807\r\n"),
	"MOVED":                         always("-MOVED 1 127.0.0.1:1\r\n"),
	"ASK":                           always("-ASK 1 127.0.0.1:1\r\n"),
	"MOVED without an address":      always("-MOVED \r\n"),
	"MOVED to anywhere":             movedAnywhere(),
}

func movedAnywhere() forger {
	var n atomic.Int64
	return func(_ []byte, to io.Writer) bool {
		_, err := io.WriteString(to, "")
		for i := 0; err == nil && i < 600; i++ {
			next := n.Add(1)
			_, err = fmt.Fprintf(to, "-MOVED 1 127.1.%d.%d:1\r\n", next>>8&255, next&255)
		}
		return true
	}
}

// forgedClusterReplies go to a Cluster's client.
var forgedClusterReplies = map[string]forger{
	"a Cluster of 100,000 servers": toRequestsOf("cluster", func(_ []byte, to io.Writer) bool {
		_, err := io.WriteString(to, "*1000\r\n")
		for i := 0; err == nil && i < 1000; i++ {
			_, err = fmt.Fprintf(to, "*102\r\n:0\r\n:16383\r\n")
			for k := 0; err == nil && k < 100; k++ {
				_, err = fmt.Fprintf(to, "*2\r\n+127.%d.%d.1\r\n:1\r\n", i&255, k+100*(i>>8))
			}
		}
		return true
	}),
	"a Cluster without servers":  toRequestsOf("cluster", always("*1\r\n*2\r\n:0\r\n:16383\r\n")),
	"a Cluster without slots":    toRequestsOf("cluster", always("*0\r\n")),
	"slots that are none":        toRequestsOf("cluster", always("*1\r\n*3\r\n:-9\r\n:99999\r\n*2\r\n+\r\n:0\r\n")),
	"servers without an address": toRequestsOf("cluster", always("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n$-1\r\n")),
	"a server with a huge map":   toRequestsOf("cluster", always("*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n+h\r\n:1\r\n+id\r\n*200000000\r\n")),
	"ever more slots":            toRequestsOf("cluster", endless("*20000\r\n", "*3\r\n:0\r\n:16383\r\n*2\r\n+127.0.0.1\r\n:1\r\n")),
	"odd commands":               toRequestsOf("command", always("*1\r\n*6\r\n+evalsha\r\n:-128\r\n*0\r\n:127\r\n:-128\r\n:0\r\n")),
}

// forgedSentinelReplies go to a Sentinel's client.
var forgedSentinelReplies = map[string]forger{
	"a master without an address": toRequestsOf("sentinel", always("*0\r\n")),
	"a master without a port":     toRequestsOf("sentinel", always("*1\r\n+127.0.0.1\r\n")),
	"a master that is a number":   toRequestsOf("sentinel", always("*2\r\n:1\r\n:2\r\n")),
	"a master of odd texts":       toRequestsOf("sentinel", always("*2\r\n$2\r\n\r\n\r\n$3\r\n\x00\xff:\r\n")),
	"a master of many parts":      toRequestsOf("sentinel", always("*9\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n+g\r\n+h\r\n+i\r\n")),
}

// Somebody on the network path, or somebody who pretends to be Redis, can keep a process from sending
// and from reading. He can't end the process, take its memory or make a request wait; and when Redis
// is back, every count arrives once.
func TestHostileNetwork_CostsNothingButTime(t *testing.T) {
	server := redistest.Start(t)
	peakOf := func(attacks func(t *testing.T)) uint64 {
		return peakHeap(func() { t.Run("", attacks) }) // returns after its parallel subtests
	}
	quiet := peakOf(func(t *testing.T) {
		for i := range 6 {
			for kind := range urlsOf("") {
				outlives(t, server, fmt.Sprint("harmless ", i), kind, always("-ERR no\r\n"))
			}
		}
	})
	loud := peakOf(func(t *testing.T) {
		for name, forge := range forgedReplies {
			for kind := range urlsOf("") {
				outlives(t, server, name, kind, forge)
			}
			outlives(t, server, name+", later", "server", afterHello(forge))
		}
		for name, forge := range forgedClusterReplies {
			outlives(t, server, name, "cluster", forge)
		}
		for name, forge := range forgedSentinelReplies {
			outlives(t, server, name, "sentinel", forge)
		}
	})
	t.Logf("the heap grew to %d MB, to %d MB with harmless errors", loud>>20, quiet>>20)
	if loud > quiet+200<<20 {
		t.Error("forged replies took more than 200 MB of memory")
	}
}

// The page and the log say what answers in place of Redis.
func TestHostileNetwork_ThePageAndTheErrorSayWhatAnswers(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]string{
		"a list without an end":      "it announces a list of 1000000000 elements",
		"a text of 4 GB":             "it announces a text of 4000000000 bytes",
		"an error that does not end": "a line of it has more than 65536 bytes",
		"attributes without an end":  "it says what nobody asked for",
		"a port mix-up: HTTP":        "it speaks HTTP",
		"noise":                      "it does not speak Redis's protocol",
	} {
		proxy := startSpoofingProxy(t, redistest.Shared(t).Addr)
		proxy.answerBy(afterHello(forgedReplies[name]))
		for kind, url := range urlsOf(proxy.Addr) {
			log := new(testkit.Heard)
			reg := fleetAt(t, url).opened(t, logging(log))
			requests(reg, 1)
			testkit.Eventually(t, func() error {
				if text := log.String(); !strings.Contains(text, "what answers at "+proxy.Addr+" is no Redis, or it is broken: "+what) {
					return fmt.Errorf("%s, %s: the log is %q", name, kind, text)
				}
				return nil
			})
			testkit.Eventually(t, func() error { // an earlier page may have had no time to find out
				if text := says503(t, reg); !strings.Contains(text, "what answers is no Redis, or it is broken") || strings.Contains(text, proxy.Addr) {
					return fmt.Errorf("%s, %s: the page is %q", name, kind, text)
				}
				return nil
			})
			_ = reg.Close(testkit.Shortly(t))
		}
	}
}

// outlives gives forged replies to a new process, then passes its requests on to the server, and wants
// its counts to arrive there once.
func outlives(t *testing.T, server *redistest.Server, name, kind string, forge forger) {
	t.Run(name+", "+kind, func(t *testing.T) {
		t.Parallel()
		proxy := startSpoofingProxy(t, server.Addr)
		proxy.answerBy(forge)
		var heard atomic.Pointer[string]
		f := fleetAt(t, urlsOf(proxy.Addr)[kind])
		reg := f.opened(t, func(o *shoal.Opts) {
			o.OnError = func(err error) {
				if text := err.Error(); heard.CompareAndSwap(nil, &text) && len(text) > 4000 {
					t.Errorf("an error of %d bytes: %.200q", len(text), text)
				}
			}
		})
		jobs := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
		for range 100 {
			jobs.Inc()
		}
		served := false // despite the forged replies
		testkit.Eventually(t, func() error {
			rec, took := testkit.Get(reg, 1500*time.Millisecond)
			if served = rec.Code == http.StatusOK; took > 3*time.Second {
				t.Errorf("a page took %v", took)
			}
			if heard.Load() == nil && !served {
				return errors.New("nothing is reported")
			}
			return nil
		})
		if body := heard.Load(); !served && strings.Contains(*body, "\n") {
			t.Errorf("the error is %q", *body)
		}
		proxy.passOn()
		jobs.Inc()
		closeAll(t, reg)
		testkit.EventuallyHas(t, f.on(t, server).reader(t), "jobs_total", "101")
	})
}

// peakHeap tells how much larger the heap was at most while f ran.
func peakHeap(f func()) uint64 {
	const name = "/memory/classes/heap/objects:bytes"
	sample := []metrics.Sample{{Name: name}}
	runtime.GC()
	metrics.Read(sample)
	before, peak := sample[0].Value.Uint64(), uint64(0)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return peak - min(peak, before)
}
