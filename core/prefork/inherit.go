// SPDX-License-Identifier: Apache-2.0

//go:build unix

package prefork

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/shoal-metrics/shoal/core/internal/bridge"
)

// variable is the environment variable that makes a process a worker: an inheritance as JSON.
const variable = "SHOAL_PREFORK_WORKER"

// A worker finds the socket to its parent at the first descriptor after standard input, output
// and error, and the listeners behind it.
const (
	socketFD   = 3
	listenerFD = 4
)

// inheritance is what a worker gets from its parent.
type inheritance struct {
	Parent    int // its process id
	Number    int
	Listeners int            // how many there are
	Leases    []bridge.Lease // of the worker that had this number, and died; guarded by mu

	mu     sync.Mutex
	socket *os.File // writes are guarded by mu
	taken  bool     // the listeners are; guarded by mu
}

// inherited is nil in a process that is no worker. It is made before main runs, and before any
// registry asks for its lease.
var inherited = inherit()

func isWorker() bool { return inherited != nil }

// inherit takes what the parent has left. No process that the worker starts finds any of it: the
// variable is removed, the descriptors are closed on exec. Where the variable is set and no socket
// is there, somebody else has set it.
func inherit() *inheritance {
	text, found := os.LookupEnv(variable)
	if !found {
		return nil
	}
	_ = os.Unsetenv(variable)
	in := &inheritance{}
	if err := json.Unmarshal([]byte(text), in); err != nil {
		return nil
	}
	if name, err := syscall.Getsockname(socketFD); err != nil {
		return nil
	} else if _, ok := name.(*syscall.SockaddrUnix); !ok {
		return nil
	}
	for fd := socketFD; fd < listenerFD+in.Listeners; fd++ {
		syscall.CloseOnExec(fd)
	}
	_ = syscall.SetNonblock(socketFD, true) // so that a read doesn't take a thread
	in.socket = os.NewFile(socketFD, "parent")
	bridge.Predecessor, bridge.Leased = in.predecessor, in.leased
	return in
}

// listeners returns the inherited listeners, once: later, other files have their descriptors.
func (in *inheritance) listeners() (all []net.Listener, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.taken {
		return nil, errors.New("prefork: Run was called twice in a worker: once it has returned, end the program")
	}
	in.taken = true
	for i := range in.Listeners {
		file := os.NewFile(uintptr(listenerFD+i), "listener")
		l, err := net.FileListener(file)
		if err := errors.Join(err, file.Close()); err != nil { // the listener has a copy
			return nil, fmt.Errorf("prefork: listener %d of the parent: %w", i, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// predecessor returns the last lease of the app that the worker's predecessor had. It returns each
// once: two registries of a worker need two.
func (in *inheritance) predecessor(app string) (index int, writer string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, l := range slices.Backward(in.Leases) {
		if l.App == app {
			in.Leases = slices.Delete(in.Leases, i, i+1)
			return l.Index, l.Writer
		}
	}
	return 0, ""
}

// leased tells the parent which lease this process has.
func (in *inheritance) leased(l bridge.Lease) {
	if text, err := json.Marshal(l); err == nil {
		in.tell(saysLease, string(text))
	}
}

// What a worker says to its parent: lines of a word and, separated by a space, a text in JSON.
const (
	saysReady  = "ready"
	saysLease  = "lease"
	saysFailed = "failed" // with its error
)

// tell says a line to the parent. If that fails, the parent has ended.
func (in *inheritance) tell(words ...string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, _ = in.socket.WriteString(strings.Join(words, " ") + "\n")
}
