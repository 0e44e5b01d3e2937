// SPDX-License-Identifier: Apache-2.0

//go:build unix

package examples

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soon is less than the 20 s for which Run drains.
const soon = 10 * time.Second

// hang sends a request whose body does not come: the handler has answered, but
// the server waits for the rest and counts it as being served.
func hang(t *testing.T, addr, line string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", line); err != nil {
		t.Fatal(err)
	}
	return conn
}

// draining waits until nothing listens on addr any more.
func draining(t *testing.T, p *program, addr string) {
	t.Helper()
	until(t, "it stops to listen", func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	select {
	case <-p.ended:
		t.Fatalf("it ended with a request under way: %v", p.err)
	default:
	}
}

// interruptUntilItEnds presses Ctrl-C until the program is gone.
func interruptUntilItEnds(t *testing.T, p *program, pid int) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(soon); ; {
		_ = syscall.Kill(pid, syscall.SIGINT)
		select {
		case <-p.ended:
			if p.err == nil || !strings.Contains(p.err.Error(), "interrupt") {
				t.Errorf("it ended with %v, want by the signal", p.err)
			}
			p.err = nil // as it should
			return
		case <-deadline:
			t.Fatalf("it has not ended %v after the second Ctrl-C", soon)
		case <-ticker.C:
		}
	}
}

func TestInterrupt_ASecondOneEndsAtOnce(t *testing.T) {
	for _, name := range []string{"nethttp", "chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			p := start(t, name, "-addr", addr)
			until(t, "the shop is open", func() error { _, err := scrape(addr); return err })
			hang(t, addr, "POST /carts")
			until(t, "the request is there", says(addr, 1, "shop_carts_open"))
			_ = p.cmd.Process.Signal(syscall.SIGINT)
			draining(t, p, addr)
			interruptUntilItEnds(t, p, p.cmd.Process.Pid)
		})
	}
}

// A terminal sends Ctrl-C to the workers as well, and the parent sends them a
// SIGTERM on top.
func TestInterrupt_InATerminalDrainsTheWorkersOfPreforkFirst(t *testing.T) {
	t.Parallel()
	for promise, again := range map[string]bool{"once drains": false, "twice ends at once": true} {
		t.Run(promise, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			cmd := exec.Command(filepath.Join(binaries, "prefork"), "-addr", addr, "-workers", "2", "-redis", redisURL(t))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does
			p := launch(t, "", cmd)
			processes, sent := allWorkers(t, addr, 2)
			conn := hang(t, addr, "GET /")
			until(t, "the request is there", says(addr, float64(sent+1), "http_requests_total", "route=/{$}"))
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
			draining(t, p, addr)
			if again {
				interruptUntilItEnds(t, p, -cmd.Process.Pid)
				until(t, "the workers are gone", func() error {
					for slot, process := range processes {
						if err := syscall.Kill(process, 0); err == nil {
							return fmt.Errorf("worker %d is still there", slot)
						}
					}
					return nil
				})
				return
			}
			if _, err := io.WriteString(conn, "{}"); err != nil {
				t.Error(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("the request under way got %v, %v", res, err)
			}
			p.wait()
		})
	}
}
