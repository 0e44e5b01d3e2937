// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Error() string {
	if ReplyCode(e.error) == "NOAUTH" { // the server's own text explains HELLO and AUTH
		return "NOAUTH: " + e.hint
	}
	return strings.TrimRight(e.error.Error(), ". ") + ": " + e.hint
}

func (e hintedError) Unwrap() error { return e.error }

// explain adds to an error what to do about it, if its own text does not tell, and puts
// that text on one line. The call may be nil.
func (r *Redis) explain(err error, c *call) error {
	if err == nil || isNil(err) {
		return err
	}
	hint := r.hintOfSilence(err)
	if Answered(err) {
		hint = r.hintOfReply(err, c)
	}
	err = printable(err, maxSaid)
	if hint == "" {
		return err
	}
	return hintedError{err, hint}
}

const aclHint = "the Redis user lacks a right: ACL LOG says which, docs/redis.md has all that shoal needs"

const sentinelHint = "of a URL, what stands before the @ goes to Sentinel, " +
	"and the parameters username and password go to Redis"

func (r *Redis) hintOfReply(err error, c *call) string {
	code, text := ReplyCode(err), replyText(err)
	says := func(words string) bool { return strings.Contains(text, words) }
	switch {
	case r.sentinel && code == "NOAUTH":
		return "Redis or Sentinel demands a password: " + sentinelHint
	case code == "NOAUTH":
		return "Redis demands a password: put it into the URL (redis://user:password@host:6379/0) or the client's options"
	case r.sentinel && code == "WRONGPASS":
		return "the user or the password is wrong: " + sentinelHint
	case code == "WRONGPASS", says("invalid password"):
		return "the user or the password is wrong"
	case says("without any password"):
		return "this Redis has no password: leave it out of the URL or the client's options"
	case code == "NOPERM":
		return aclHint
	case says("The user executing the script can't"):
		return aclHint + calledAt(text, c)
	case strings.Contains(strings.ToLower(text), "unknown redis command"):
		return "the server does not know a command that shoal needs" + calledAt(text, c)
	case says("unknown command"):
		return "the server, or a proxy before it, does not know a command that is needed"
	case says("DB index is out of range"):
		return "this Redis has no database of that number: mend the one in the URL or the client's options"
	case says("not allowed in cluster mode"):
		return "a Cluster has the database 0 alone: leave the number out of the URL or the client's options"
	case says("cluster support disabled"):
		return "this server is no Cluster: leave addr out of the URL, or use redis.NewClient"
	case r.oneServer && (code == "MOVED" || code == "ASK"):
		return "this server is part of a Cluster: name another of its servers in the URL (?addr=host:port), or use redis.NewClusterClient"
	case code == "READONLY":
		return "the server is a replica: give the master's address, if it does not become the master"
	}
	return ""
}

var (
	scriptLine = regexp.MustCompile(`@user_script: ?(\d+)`)
	luaCall    = regexp.MustCompile(`\bcall\('?(\w+)'?`)
)

// calledAt names the command that a script called when it failed: a server tells only the
// line.
func calledAt(text string, c *call) string {
	at := scriptLine.FindStringSubmatch(text)
	if at == nil || c == nil || c.script == nil {
		return ""
	}
	line, _ := strconv.Atoi(at[1])
	lines := strings.Split(c.script.source, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	var names []string
	for _, called := range luaCall.FindAllStringSubmatch(lines[line-1], -1) {
		names = append(names, called[1])
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, " or ") + ")"
}

// hintOfSilence is for errors without an answer. Where only one side uses TLS, the other
// stays silent or closes the connection before anything was sent.
func (r *Redis) hintOfSilence(err error) string {
	const noTLS = "if the port is one without TLS, use redis:// in place of rediss://, or leave TLSConfig out"
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return noTLS
	}
	var unsent unsentError
	var dial *net.OpError
	if !errors.As(err, &unsent) || PoolTaken(err) || errors.As(err, &dial) && dial.Op == "dial" {
		return ""
	}
	var late net.Error
	switch {
	case r.tls && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout()):
		return noTLS
	case r.plain && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		return "if the port is one with TLS, use rediss:// in place of redis://, or set TLSConfig"
	}
	return ""
}
