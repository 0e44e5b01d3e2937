// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// soon is less than the 20 s for which Run drains.
const soon = 10 * time.Second

// hang sends a request without its body: the handler has answered, but the server waits for
// the body and counts the request as in flight.
func hang(t *testing.T, addr, line string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", line)
	testkit.Must(t, err)
	return conn
}

// interruptUntilItEnds presses Ctrl-C until the program is gone.
func (p *program) interruptUntilItEnds(pid int) {
	p.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(soon); ; {
		_ = syscall.Kill(pid, syscall.SIGINT)
		select {
		case <-p.ended:
			if p.err == nil || !strings.Contains(p.err.Error(), "interrupt") {
				p.t.Errorf("it ended with %v, want by the signal", p.err)
			}
			p.err = nil // as expected
			return
		case <-deadline:
			p.t.Fatalf("it has not ended %v after the second Ctrl-C", soon)
		case <-ticker.C:
		}
	}
}

func TestInterrupt_ASecondOneEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range shops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := redistest.FreeAddr(t)
			p := start(t, name, "-addr", addr)
			isUp(t, addr)
			hang(t, addr, "POST /carts")
			says(t, addr, 1, "shop_carts_open")
			_ = p.cmd.Process.Signal(syscall.SIGINT)
			p.stopsListening(addr)
			p.interruptUntilItEnds(p.cmd.Process.Pid)
		})
	}
}

// A terminal sends Ctrl-C to the workers as well, and the parent also sends them
// SIGTERM.
func TestInterrupt_InATerminalDrainsTheWorkersOfPreforkFirst(t *testing.T) {
	t.Parallel()
	for promise, again := range map[string]bool{"once drains": false, "twice ends at once": true} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, redistest.Start(t).URL(), 2)
			conn := hang(t, f.addr, "GET /")
			says(t, f.addr, float64(f.asked+1), "http_requests_total", "route=/{$}")
			_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGINT)
			f.stopsListening(f.addr)
			if again {
				f.interruptUntilItEnds(-f.cmd.Process.Pid)
				areGone(t, f.pids)
				return
			}
			_, err := io.WriteString(conn, "{}")
			testkit.Check(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("the request under way got %v, %v", res, err)
			}
			f.wait()
		})
	}
}
