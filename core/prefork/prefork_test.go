// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is far more than anything here takes.
const patience = 60 * time.Second

// variables by which this test binary is a program under test.
const (
	programVariable = "SHOAL_PREFORK_TEST"      // its name
	addrVariable    = "SHOAL_PREFORK_TEST_ADDR" // where it listens
	flagVariable    = "SHOAL_PREFORK_TEST_FLAG" // a file: while it exists, new workers fail
)

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		if err := programs[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// answer is what a worker under test tells of itself.
type answer struct {
	Number, PID, Parent int
	Program             int64 // its size
	Addr                string
	Zombies             int
}

// programs are what runs below TestMain, in the parent and in its workers.
var programs = map[string]func() error{
	"serve": func() error { return Run(context.Background(), options(), serve) },
	"stubborn": func() error { // its workers do not end
		opts := options()
		opts.DrainTimeout = 300 * time.Millisecond
		return Run(context.Background(), opts, func(_ context.Context, w *Worker) error {
			return serve(context.Background(), w)
		})
	},
	"endless": func() error { // its workers do not end for a long time
		return Run(context.Background(), options(), func(_ context.Context, w *Worker) error {
			return serve(context.Background(), w)
		})
	},
	"wrong": func() error { // its workers find a mistake
		return Run(context.Background(), options(), func(context.Context, *Worker) error {
			return errors.New("the URL is wrong")
		})
	},
	"done": func() error { // its workers end at once
		return Run(context.Background(), options(), func(context.Context, *Worker) error { return nil })
	},
	"silent": func() error { // a worker is never ready while the file is there
		opts := options()
		opts.ReadyTimeout = 300 * time.Millisecond
		return Run(context.Background(), opts, func(ctx context.Context, w *Worker) error {
			if failing() {
				<-ctx.Done()
				return nil
			}
			return serve(ctx, w)
		})
	},
	"brief": func() error { // the context of Run ends
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if !IsWorker() {
			go func() {
				for eventually(func() error { _, err := ask(os.Getenv(addrVariable), "/"); return err }) != nil {
				}
				cancel()
			}()
		}
		return Run(ctx, options(), serve)
	},
	"several": func() error { // a unix socket and a further listener
		opts := Opts{Network: "unix", Addr: os.Getenv(addrVariable), Workers: 2}
		opts.Listen = func() ([]net.Listener, error) {
			l, err := net.Listen("unix", os.Getenv(addrVariable)+".metrics")
			return []net.Listener{l}, err
		}
		return Run(context.Background(), opts, func(ctx context.Context, w *Worker) error {
			go func() { _ = http.Serve(w.Listeners[1], handler(w)) }()
			return serve(ctx, w)
		})
	},
	"look": func() error { // what a worker of "serve" starts; it is no worker and inherits nothing
		fds, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			return err
		}
		for _, fd := range fds {
			if name, _ := os.Readlink(fd); strings.HasPrefix(name, "socket:") {
				return fmt.Errorf("it has %s: %s", fd, name)
			}
		}
		if IsWorker() || os.Getenv(variable) != "" {
			return errors.New("it takes itself for a worker")
		}
		return nil
	},
	"twice": func() error { // its workers call Run again
		err := Run(context.Background(), options(), serve)
		if !IsWorker() || err != nil {
			return err
		}
		var files []*os.File // one has the descriptor of the listener
		for range 8 {
			file, err := os.Open(os.Args[0])
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		if err := Run(context.Background(), options(), serve); err == nil || !strings.Contains(err.Error(), "twice") {
			return fmt.Errorf("the second Run returns %w", err)
		}
		for _, file := range files {
			if _, err := file.Stat(); err != nil {
				return err
			}
		}
		return nil
	},
	"stranger": func() error { // somebody has set the variable
		return Run(context.Background(), options(), serve)
	},
}

func failing() bool {
	_, err := os.Stat(os.Getenv(flagVariable))
	return err == nil
}

func options() Opts { return Opts{Addr: os.Getenv(addrVariable), Workers: 2} }

// serve answers until ctx is done.
func serve(ctx context.Context, w *Worker) error {
	if failing() {
		return errors.New("the file is there")
	}
	server := &http.Server{Handler: handler(w), ReadHeaderTimeout: patience}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(w.Listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}

func handler(w *Worker) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		path, _ := os.Executable()
		info, err := os.Stat(path)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(rw).Encode(answer{
			Number: w.Number, PID: os.Getpid(), Parent: os.Getppid(), Program: info.Size(),
			Addr: r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), Zombies: len(dead(1)),
		})
	})
	mux.HandleFunc("/look", func(rw http.ResponseWriter, _ *http.Request) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), programVariable+"=look")
		if out, err := cmd.CombinedOutput(); err != nil {
			http.Error(rw, fmt.Sprintf("%v: %s", err, out), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/orphan", func(rw http.ResponseWriter, _ *http.Request) {
		if err := exec.Command("sh", "-c", "sleep 0.1 & exit 0").Run(); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// program is a running parent.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	addr  string
	flag  string
	ended chan struct{}
	err   error // read it after ended is closed

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a program. At the end of the test all its processes are gone.
func start(t *testing.T, name string, change ...func(p *program)) *program {
	t.Helper()
	dir := t.TempDir()
	p := &program{t: t, ended: make(chan struct{}), addr: freeAddr(t), flag: filepath.Join(dir, "flag")}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.SysProcAttr = attributes()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = p, p, patience
	for _, f := range change {
		f(p)
	}
	p.cmd.Env = append(slices.Concat(os.Environ(), p.cmd.Env), programVariable+"="+name, addrVariable+"="+p.addr,
		flagVariable+"="+p.flag, "GOCOVERDIR="+dir, "GORACE=atexit_sleep_ms=0")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the group: parent and workers
		<-p.ended
		if t.Failed() {
			t.Logf("its output:\n%s", p.output())
		}
	})
	return p
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits until the parent ends.
func (p *program) end() error {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		p.t.Fatalf("it goes on:\n%s", p.output())
		return nil
	}
}

// workers waits until these numbers have answered, from processes for which ok is true, and
// returns their processes.
func (p *program) workers(n int, ok func(answer) bool) map[int]int {
	p.t.Helper()
	pids := map[int]int{}
	must(p.t, eventually(func() error {
		a, err := ask(p.addr, "/")
		if err == nil && ok(a) {
			pids[a.Number] = a.PID
		}
		if len(pids) < n {
			return fmt.Errorf("only %v, and %+v, %v", pids, a, err)
		}
		return nil
	}))
	return pids
}

func (p *program) says(words ...string) {
	p.t.Helper()
	must(p.t, eventually(func() error {
		for _, line := range strings.Split(p.output(), "\n") {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("no line has all of %q", words)
	}))
}

func anybody(answer) bool { return true }

// other accepts processes that are none of these.
func other(pids map[int]int) func(answer) bool {
	return func(a answer) bool { return a.PID != pids[a.Number] }
}

// gone waits until none of the processes is there any more.
func gone(t *testing.T, pids map[int]int) {
	t.Helper()
	must(t, eventually(func() error {
		for number, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("worker %d, process %d, is still there", number, pid)
			}
		}
		return nil
	}))
}

// ask makes a request on a connection of its own.
func ask(addr, path string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://worker"+path, nil)
	if err != nil {
		return a, err
	}
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	if err == nil && path == "/" {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

func eventually(check func() error) error {
	for deadline := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still after %v: %w", patience, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
