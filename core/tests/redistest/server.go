// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	logName  = "redis.log"
	patience = 20 * time.Second // for a server to start, on a busy machine
	attempts = 5                // to find ports that no other process takes first
)

// Server is a redis-server process with its own directory. The directory outlives the
// process, so a restarted server finds what the former one saved.
type Server struct {
	// Addr is host and port. It stays the same over restarts.
	Addr string

	dir    string
	port   int
	config string // a file that redis-server reads first; none if empty
	args   []string
	tls    *tls.Config // of clients that may connect; nil where the server speaks plain TCP
	*process
}

// Start starts a server for one test and ends it with the test. By default it
// saves nothing on its own; args are further arguments of redis-server
// ("--appendonly", "yes").
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return launchFor(t, &Server{dir: t.TempDir(), args: args})
}

// launchFor launches a server for one test and ends it with the test.
func launchFor(t testing.TB, s *Server) *Server {
	t.Helper()
	if err := s.launchAnywhere(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("log of the redis-server at %s:\n%s", s.Addr, s.log())
		}
	})
	return s
}

func start(dir string, args []string) (*Server, error) {
	s := &Server{dir: dir, args: args}
	if err := s.launchAnywhere(); err != nil {
		return nil, err
	}
	return s, nil
}

// launchAnywhere launches the server on a free port, and tries another port if
// another process took it meanwhile.
func (s *Server) launchAnywhere() error {
	var err error
	for range attempts {
		if err := s.takePort(); err != nil {
			return err
		}
		if err = s.launch(); err == nil || errors.Is(err, errMissing) {
			break
		}
	}
	return err
}

func (s *Server) takePort() error {
	port, err := freePort()
	s.port, s.Addr = port, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return err
}

// launch starts the process and waits until it answers.
func (s *Server) launch() error {
	if err := s.spawn(); err != nil {
		return err
	}
	if err := s.await(); err != nil {
		log := s.log()
		s.Kill()
		return fmt.Errorf("%w\nits log:\n%s", err, log)
	}
	return nil
}

func (s *Server) spawn() error {
	var args []string
	if s.config != "" {
		args = append(args, s.config)
	}
	if s.tls != nil {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(s.port))
	} else {
		args = append(args, "--port", strconv.Itoa(s.port))
	}
	args = append(args,
		"--bind", "127.0.0.1",
		"--dir", s.dir,
		"--save", "",
		"--logfile", "",
		"--enable-debug-command", "yes",
	)
	p, err := spawn(s.dir, append(args, s.args...))
	if err != nil {
		return err
	}
	s.process = p
	return nil
}

// await polls until the server answers and is the process that we started: another
// server may have taken the port first.
func (s *Server) await() error {
	client := redis.NewClient(&redis.Options{Addr: s.Addr, TLSConfig: s.tls, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		ours, err := false, reachable(s.Addr)
		if err == nil {
			ours, err = s.isOurs(ctx, client)
		}
		if err == nil {
			if !ours {
				return fmt.Errorf("another server listens at %s", s.Addr)
			}
			if err := client.Ping(ctx).Err(); err == nil {
				return nil // it has loaded its data
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server for %s ended at once", s.Addr)
		case <-ctx.Done():
			return fmt.Errorf("redis-server at %s does not answer: %w", s.Addr, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// isOurs says whether the server is the process that we started. If its INFO is
// renamed, the directory tells.
func (s *Server) isOurs(ctx context.Context, client *redis.Client) (bool, error) {
	info, err := client.Info(ctx, "server").Result()
	if err != nil && strings.Contains(err.Error(), "unknown command") {
		settings, err := client.ConfigGet(ctx, "dir").Result()
		return settings["dir"] == s.dir, err
	}
	return slices.Contains(strings.Fields(info), "process_id:"+strconv.Itoa(s.pid)), err
}

// reachable tries a connection without go-redis, which would log each failure.
func reachable(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// URL is in the form of redis.ParseURL.
func (s *Server) URL() string {
	if s.tls != nil {
		return "rediss://" + s.Addr + "/0"
	}
	return "redis://" + s.Addr + "/0"
}

// Client returns a new client, closed with the test. Each of change may alter
// its options.
func (s *Server) Client(t testing.TB, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	opts := &redis.Options{Addr: s.Addr, TLSConfig: s.tls}
	for _, c := range change {
		c(opts)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Kill ends the server at once, like a power cut for the process. Twice is
// harmless.
func (s *Server) Kill() { s.kill() }

// Shutdown makes the server save a snapshot and end.
func (s *Server) Shutdown(t testing.TB) { s.shutdown(t, "SAVE") }

// Stop makes the server end without a snapshot.
func (s *Server) Stop(t testing.TB) { s.shutdown(t, "NOSAVE") }

func (s *Server) shutdown(t testing.TB, how string) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr, TLSConfig: s.tls, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	err := client.Do(context.Background(), "SHUTDOWN", how).Err()
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatalf("redis-server at %s does not shut down: %v", s.Addr, err)
	}
}

// Freeze sends SIGSTOP: connections stay open, nothing answers.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	if err := s.signal(syscall.SIGSTOP); err != nil {
		t.Fatalf("freezing redis-server at %s: %v", s.Addr, err)
	}
}

// Thaw undoes Freeze.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	if err := s.signal(syscall.SIGCONT); err != nil {
		t.Fatalf("thawing redis-server at %s: %v", s.Addr, err)
	}
}

// Restart starts the server again, at the same address with the same directory. It
// kills a running server first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

// Relaunch is Restart with further arguments for this one run. It does not wait until the
// server answers.
func (s *Server) Relaunch(t testing.TB, args ...string) {
	t.Helper()
	s.Kill()
	usual := s.args
	s.args = append(slices.Clone(usual), args...)
	defer func() { s.args = usual }()
	if err := s.spawn(); err != nil {
		t.Fatal(err)
	}
}

// Await waits until a server that was relaunched answers.
func (s *Server) Await(t testing.TB) {
	t.Helper()
	if err := s.await(); err != nil {
		t.Fatalf("%v\nits log:\n%s", err, s.log())
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, logName))
	if err != nil {
		return err.Error()
	}
	const enough = 8 << 10
	return string(text[max(0, len(text)-enough):])
}

// freePort picks a free port. Another process may take it before the server does. The
// port is outside the range for outgoing connections: one of those could take the port of
// a server that is down for a moment.
func freePort() (port int, err error) {
	const lowest, number = 10_000, 22_000
	for range 50 {
		port = lowest + rand.IntN(number)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// FreeAddr returns an address on the loopback interface where nothing listens, for a test that
// listens there later, or more than once. Its port is outside the range for outgoing connections
// and that of freePort, and this process gets each port once.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const lowest, number = 61_000, 4_500
	for range number {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+int(addrs.Add(1))%number))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// addrs counts the ports that FreeAddr has tried, from anywhere: other test processes run beside
// this one.
var addrs atomic.Int64

func init() { addrs.Store(rand.Int64N(1 << 20)) }
