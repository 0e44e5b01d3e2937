// SPDX-License-Identifier: Apache-2.0

package wire

import "github.com/redis/go-redis/v9"

// oneShot is a command that go-redis must not send a second time by itself.
// Were it to, an error reply to the second attempt would hide that the first
// may have been executed, and a batch in doubt would pass for a refused one.
// Redirections are still followed: a redirected command was not executed.
//
// It also watches what really happens to the command, since its error alone
// does not tell. The time to wait for a connection may end just as that for an
// answer does. Where a redirected command is lost, go-redis leaves the
// redirection as its error. And an application may have a hook that tries again.
type oneShot struct {
	*redis.Cmd

	attempt *attempt
}

// NoRetry is asked by go-redis.
func (oneShot) NoRetry() bool { return true }

// SetErr is called by go-redis with what became of the command.
func (o oneShot) SetErr(err error) {
	o.Cmd.SetErr(err)
	o.attempt.ended(err)
}

// attempt follows one command. Its place is an argument of the command, the
// script's hash or source: go-redis asks for its bytes when it writes them.
type attempt struct {
	text string

	sent  bool // at least once
	open  bool // sent, and no reply came
	lost  bool // the open one is known to have failed
	doubt bool // sent again while one was open
}

// MarshalBinary is called by go-redis when it sends the command.
func (a *attempt) MarshalBinary() ([]byte, error) {
	a.doubt = a.doubt || a.open
	a.sent, a.open, a.lost = true, true, false
	return []byte(a.text), nil
}

// String is what a hook of the application may show.
func (a *attempt) String() string { return a.text }

func (a *attempt) ended(err error) {
	switch {
	case err != nil && !Answered(err):
		a.lost = true
	case err != nil || !a.lost: // without an error after a loss: somebody prepares to try again
		a.open = false
	}
}

// judge turns the command's error into one of which [Refused] holds exactly
// when the command was not executed.
func (a *attempt) judge(err error) error {
	switch {
	case (a.open || a.doubt) && Refused(err):
		return doubtfulError{err}
	case err != nil && !a.sent && !Answered(err):
		return unsentError{err}
	}
	return err
}

// doubtfulError hides what an error is made of: a redirection, or the refusal
// of a second attempt, says nothing of the one that is in doubt.
type doubtfulError struct{ error }

// unsentError is an error of a command that was never sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }
