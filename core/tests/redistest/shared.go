// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// shared holds what all tests of a package use together.
var shared struct {
	sync.Mutex // guards all below
	server     *Server
	cluster    *Cluster
	dirs       []string
	managed    bool
}

// Parallel sets how many tests run at the same time, unless -parallel is given: for tests that
// mostly wait for servers, more than there are cores. It parses flags.
func Parallel(tests int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(tests))
	}
}

// Main is the body of a TestMain: it runs the tests, ends the shared servers,
// and fails if goroutines are left, except the ignored ones.
func Main(m *testing.M, ignored ...goleak.Option) {
	shared.Lock()
	shared.managed = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	if shared.server != nil {
		shared.server.Kill()
	}
	if shared.cluster != nil {
		shared.cluster.kill()
	}
	for _, dir := range shared.dirs {
		_ = os.RemoveAll(dir)
	}
	shared.Unlock()
	if code == 0 {
		err := goleak.Find(ignored...)
		// A client that could not dial notices only once a second that it is closed.
		for deadline := time.Now().Add(3 * time.Second); err != nil && time.Now().Before(deadline); {
			err = goleak.Find(ignored...)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Shared returns the server that all tests of the package share. The first call
// starts it. No test may stop it or empty it.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := start(sharedDir(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	}
	return shared.server
}

// SharedCluster is [Shared] for a Cluster.
func SharedCluster(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := startCluster(func() string { return sharedDir(t) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.cluster = c
	}
	return shared.cluster
}

// sharedDir makes a directory that outlives the test. The caller holds the
// lock of shared.
func sharedDir(t testing.TB) string {
	t.Helper()
	if !shared.managed {
		t.Fatal("redistest.Shared needs a TestMain that calls redistest.Main")
	}
	dir, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TempDir makes a directory that [Main] removes.
func TempDir() (string, error) {
	shared.Lock()
	defer shared.Unlock()
	return tempDir()
}

// tempDir is TempDir for those who hold the lock of shared.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "redistest-")
	shared.dirs = append(shared.dirs, dir)
	return dir, err
}
