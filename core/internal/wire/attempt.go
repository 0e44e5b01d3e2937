// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"

	"github.com/redis/go-redis/v9"
)

// oneShot is a command that go-redis must not send a second time by itself.
// Were it to, an error reply to the second attempt would hide that the first
// may have been executed, and a batch in doubt would pass for a refused one.
// Redirections are still followed: a redirected command was not executed.
//
// It also watches what really happens to the command, since its error alone
// does not tell. The time to wait for a connection may end just as that for an
// answer does. Where a redirected command is lost, go-redis leaves the
// redirection as its error. And an application may have a hook that tries again,
// sends the command to another server as well, or puts an error of its own in
// place of the server's.
type oneShot struct {
	*redis.Cmd

	attempt *attempt
}

// NoRetry is asked by go-redis.
func (oneShot) NoRetry() bool { return true }

// SetErr is called by go-redis with what became of the command, and by hooks.
func (o oneShot) SetErr(err error) {
	o.Cmd.SetErr(err)
	o.attempt.ended(err)
}

// attempt follows one command. Its place is an argument of the command, the
// script's hash or source: go-redis asks for its bytes when it writes them.
//
// A hook that looks at the arguments may ask as well, from a goroutine of its
// own too. That can't be told from sending, so it is taken for it: a command
// that was refused may then count as in doubt, and is sent again, which harms
// nothing. The other way round would.
type attempt struct {
	text string

	mu      sync.Mutex
	sent    bool // and nothing was heard of it since; guarded by mu
	doubt   bool // it may have been executed without its answer being the last; guarded by mu
	unknown bool // the last answer was that the server does not know the script; guarded by mu
}

// MarshalBinary is called by go-redis when it sends the command.
func (a *attempt) MarshalBinary() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = true
	return []byte(a.text), nil
}

// MarshalText and String are for hooks that show the arguments.
func (a *attempt) MarshalText() ([]byte, error) { return []byte(a.text), nil }

func (a *attempt) String() string { return a.text }

// ended takes in what is said of the command. A refusal settles what was sent
// before it; without an answer, or after one that says that it was executed,
// any later refusal is one of a further attempt.
func (a *attempt) ended(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !Refused(err) {
		a.doubt = a.doubt || a.sent
	}
	switch {
	case Answered(err):
		a.unknown = isReply(err, "NOSCRIPT")
	case err == nil && a.sent:
		a.unknown = false
	} // else a hook has put its own word in place of the server's
	a.sent = false
}

// settle turns the error of a call's command into one of which [Refused] holds
// exactly when the command was not executed, as far as can be known, and notes
// what a further attempt has to know.
func (a *attempt) settle(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := c.cmd.Err()
	doubt := a.doubt || a.sent
	switch {
	case doubt && Refused(err):
		c.cmd.SetErr(doubtfulError{err})
	case err != nil && !doubt && !Answered(err):
		c.cmd.SetErr(unsentError{err})
	}
	c.doubt = doubt && err != nil
	c.unknown = a.unknown
}

// doubtfulError is the refusal of one attempt while another one is in doubt.
type doubtfulError struct{ error }

// Unwrap hides a redirection: the node that was to be asked next gave no answer.
func (e doubtfulError) Unwrap() error {
	if isReply(e.error, "MOVED") || isReply(e.error, "ASK") {
		return nil
	}
	return e.error
}

// unsentError is an error of a command that was never sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }
