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

// Refused says whether an error means that the store definitely did not do
// what it was asked: the server answered with an error (READONLY, OOM,
// TRYAGAIN, LOADING, NOSCRIPT, WRONGTYPE, …), or the request was never sent
// since no connection could be had in time. False, for an error, means in doubt: the
// request was sent, or may have been, and no reply came.
//
// This holds because no request of [Redis] that writes is sent twice by the
// client underneath: see oneShot. A script that fails has written nothing,
// since each one reads and checks everything before its first write.
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

// HandshakeFailed says whether err means that client and server did not agree
// on a TLS connection, so that no request was sent: one of them does not accept
// the other's certificate, or there is none. Of the server's alerts only those
// count that no connection gets once it is used.
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

// Answered says whether err is the answer of a server: it is there and refused
// this request. Others may fare better, while an error without an answer
// leaves little hope for the next request.
func Answered(err error) bool { return answerIn(err) != nil }

// answerIn returns the answer of a server in err, or nil.
func answerIn(err error) redis.Error {
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

// SentinelError is why Sentinels did not tell who the master is. It hides from go-redis
// that one of them may have answered: a connection that could not be had would pass
// for one to a server that refuses the greeting, and be kept.
type SentinelError struct{ Err error }

func (e *SentinelError) Error() string { return e.Err.Error() }

// momentary says whether a server refuses for a reason that passes, or that
// concerns the whole connection and not the one command.
func momentary(err error) bool {
	switch ReplyCode(err) {
	case "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "DENIED":
		return true
	}
	return strings.Contains(replyText(err), "max number of clients")
}

// PoolTaken says whether all of the client's connections were taken by others.
func PoolTaken(err error) bool {
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted)
}

// ErrTooLarge is why something is omitted from a page that does not fit into it.
var ErrTooLarge = fmt.Errorf("it takes more than its part of the %d MiB that are read for a page", MaxPage>>20)

// TooManyLeasesError says that there are too many leases to tell who lives.
type TooManyLeasesError struct {
	Key   string
	Count int64
}

func (e *TooManyLeasesError) Error() string {
	return fmt.Sprintf("%d processes have left their leases in %s, and a page is made of %d at most: "+
		"delete that key, and those that live take new ones", e.Count, e.Key, MaxLeases)
}

// WrongTypeError says that a key which the whole app needs holds something that is
// not shoal's.
type WrongTypeError struct {
	Key string
	Err error
}

func (e *WrongTypeError) Error() string {
	return fmt.Sprintf("the key %s is of a wrong type: a process that writes replaces it; where there is none, delete it: %v", e.Key, e.Err)
}

func (e *WrongTypeError) Unwrap() error { return e.Err }

// Damaged says whether err means that a key holds something that is not
// shoal's: trouble of one family and not of the server.
func Damaged(err error) bool { return isReply(err, "WRONGTYPE") }

// ErrUnregistered is the Err of a [FamilyState] whose family is listed and not
// registered: its first registration is under way, or its keys were lost.
var ErrUnregistered = errors.New("the family has no registration")

// isReply says whether err is the error reply of a server with the given code.
// The code of a command that failed inside a script stands in the middle of
// the text before Redis 7, and without the dash in miniredis.
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

// maxCode bounds the code of a refusal, which stands on pages. Redis's longest has
// 14 letters.
const maxCode = 32

// ReplyCode returns the code with which a server refused, such as NOAUTH, or ""
// if err is no refusal. The rest of a reply's text may name users and addresses.
func ReplyCode(err error) string {
	reply := answerIn(err)
	if reply == nil || isNil(err) {
		return ""
	}
	code, rest, _ := strings.Cut(reply.Error(), " ")
	if strings.Contains(rest, "unauthenticated") { // a longer command than a stranger may send
		return "NOAUTH"
	}
	if code == "" || len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "an error"
	}
	return code
}

// isNil says whether err only means that there was nothing to read.
func isNil(err error) bool { return errors.Is(err, redis.Nil) }
