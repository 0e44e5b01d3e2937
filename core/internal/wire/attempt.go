// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"

	"github.com/redis/go-redis/v9"
)

// oneShot is a command that go-redis must not send a second time by itself. An error
// reply to the second attempt would hide that the first may have been executed, and a
// batch in doubt would be taken for a refused one. go-redis still follows redirections: a
// redirected command was not executed.
//
// oneShot also records what happens to the command, since its error alone does not tell
// whether it was executed. A timeout may have ended the wait for a connection, or the wait
// for an answer. If a command is lost after a redirection, go-redis returns the redirection
// as its error. And a hook of the application may send the command again, or to another
// server as well, or replace the server's error by its own.
type oneShot struct {
	*redis.Cmd

	attempt *attempt
}

// NoRetry tells go-redis not to send the command again.
func (oneShot) NoRetry() bool { return true }

// SetErr is called by go-redis with what became of the command, and by hooks.
func (o oneShot) SetErr(err error) {
	o.Cmd.SetErr(err)
	o.attempt.ended(err)
}

// attempt follows one command. It is an argument of the command, in the place of the
// script's hash or source: go-redis calls MarshalBinary when it sends the command.
//
// A hook that looks at the arguments may call it too, even from a goroutine of its own.
// That cannot be told from sending, so it counts as sending. A refused command may then
// count as in doubt and be sent again, which does no harm; a command in doubt never counts
// as refused.
type attempt struct {
	text string // the script's hash or source

	mu      sync.Mutex
	sent    bool // and not answered yet; guarded by mu
	doubt   bool // an earlier sending may have been executed; guarded by mu
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

// ended notes a result of the command. A refusal is the answer to what was sent before it.
// After any other result, a later refusal can only be the answer to a later sending.
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
	} // else err is a hook's own and says nothing of the script
	a.sent = false
}

// settle turns the error of a call's command into one of which [Refused] is true only if
// the command was not executed. It notes in the call what a further attempt needs.
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

// Unwrap hides a redirection: the server to which it leads gave no answer.
func (e doubtfulError) Unwrap() error {
	if isReply(e.error, "MOVED") || isReply(e.error, "ASK") {
		return nil
	}
	return e.error
}

// unsentError is an error of a command that was never sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }
