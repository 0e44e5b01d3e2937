// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Refused says whether an error means that the call was not executed: the server answered
// with an error (READONLY, OOM, TRYAGAIN, LOADING, NOSCRIPT, WRONGTYPE, …), or the request
// was never sent, for want of a connection. After any other error the call is in doubt: the
// request was sent, or may have been, and no answer came.
//
// The package documentation says on what this relies.
func Refused(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	var doubtful doubtfulError
	if errors.As(err, &doubtful) {
		return false
	}
	if Answered(err) {
		return true
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || HandshakeFailed(err) {
		return true
	}
	var unsent unsentError
	return errors.As(err, &unsent) ||
		errors.Is(err, redis.ErrPoolTimeout) ||
		errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed)
}

// HandshakeFailed says whether err means that client and server did not agree on TLS, so
// that no request was sent: one does not accept the other's certificate, or lacks one. Of
// the server's alerts, only those count that come before a connection is used.
func HandshakeFailed(err error) bool {
	var ours *tls.CertificateVerificationError
	if errors.As(err, &ours) {
		return true
	}
	var theirs *net.OpError
	if !errors.As(err, &theirs) || theirs.Op != "remote error" {
		return false
	}
	alert := theirs.Err.Error()
	return strings.Contains(alert, "certificate") || strings.Contains(alert, "handshake failure")
}

// Answered says whether err is the answer of a server, which refused this request. The
// server may accept another one. After an error without an answer, expect the next request
// to fail too.
func Answered(err error) bool { return answerIn(err) != nil }

// answerIn returns the answer of a server in err, or nil.
func answerIn(err error) redis.Error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return reply
	}
	var sentinel *SentinelError
	if errors.As(err, &sentinel) {
		errors.As(sentinel.Err, &reply)
	}
	return reply
}

// SentinelError is why Sentinels did not name the master. It hides from go-redis that one of
// them answered with an error: go-redis would take that for the answer of the master to its
// first commands, and keep the connection.
type SentinelError struct{ Err error }

func (e *SentinelError) Error() string { return e.Err.Error() }

// momentary says whether a server refuses for a reason that passes, or that concerns the
// connection rather than the command.
func momentary(err error) bool {
	switch ReplyCode(err) {
	case "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "DENIED":
		return true
	}
	return strings.Contains(replyText(err), "max number of clients")
}

// PoolTaken says whether all connections of the client's pool were in use.
func PoolTaken(err error) bool {
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted)
}

// ErrTooLarge is why a page omits what does not fit into it.
var ErrTooLarge = fmt.Errorf("it takes more than its part of the %d MiB that are read for a page", MaxPage>>20)

// TooManyLeasesError says that there are too many leases to tell which processes live.
type TooManyLeasesError struct {
	Key   string
	Count int64
}

func (e *TooManyLeasesError) Error() string {
	return fmt.Sprintf("%d processes have left their leases in %s, and a page is made of %d at most: "+
		"delete that key, and those that live take new ones", e.Count, e.Key, MaxLeases)
}

// WrongTypeError says that a key which the whole app needs is of another type: it is not
// shoal's.
type WrongTypeError struct {
	Key string
	Err error
}

func (e *WrongTypeError) Error() string {
	return fmt.Sprintf("the key %s is of a wrong type: a process that writes replaces it; where there is none, delete it: %v", e.Key, e.Err)
}

func (e *WrongTypeError) Unwrap() error { return e.Err }

// StoredError says what is wrong with a stored text. The reader may find many such texts and
// reports few: so Error builds its text only when it is called.
type StoredError struct {
	What string // what the text should be
	Text string // as stored
	Part string // the part of Text that is wrong; empty for all of it
	Why  error
}

func (e *StoredError) Error() string {
	text := e.What + " " + Quote(e.Text) + ": "
	if e.Part != "" {
		text += Quote(e.Part) + ": "
	}
	return text + e.Why.Error()
}

// Unwrap returns Why.
func (e *StoredError) Unwrap() error { return e.Why }

// Damaged says whether err means that a key is of another type, and so not shoal's: trouble
// of one family and not of the server.
func Damaged(err error) bool { return isReply(err, "WRONGTYPE") }

// ErrUnregistered is the Err of a [FamilyState] whose family is listed and not
// registered: its first registration is under way, or its keys were lost.
var ErrUnregistered = errors.New("the family has no registration")

// isReply says whether err is the error reply of a server with the given code. If a command
// failed inside a script, Redis before 7 has the code in the middle of the text, and
// miniredis has it there without the dash.
func isReply(err error, code string) bool {
	text := replyText(err)
	return strings.HasPrefix(text, code+" ") || strings.Contains(text, "-"+code+" ") || strings.Contains(text, " "+code+" ")
}

// replyText is what the server said, or "" if err is not its answer.
func replyText(err error) string {
	reply := answerIn(err)
	if reply == nil {
		return ""
	}
	return reply.Error()
}

// maxCode bounds the code of a refusal in bytes, since pages show it. Redis's longest has 14
// letters.
const maxCode = 32

// ReplyCode returns the code with which a server refused, such as NOAUTH, or ""
// if err is no refusal. The rest of a reply's text may name users and addresses.
func ReplyCode(err error) string {
	reply := answerIn(err)
	if reply == nil || isNil(err) {
		return ""
	}
	code, rest, _ := strings.Cut(reply.Error(), " ")
	if strings.Contains(rest, "unauthenticated") { // Redis refuses long commands before AUTH in other words
		return "NOAUTH"
	}
	if code == "" || len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "an error"
	}
	return code
}

// isNil says whether err only means that there was nothing to read.
func isNil(err error) bool { return errors.Is(err, redis.Nil) }
