// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// way is how the calls of a pipeline name their scripts.
type way int

const (
	// byHash sends the hash alone: as a rule, the server knows the script.
	byHash way = iota
	// loaded sends the source before the calls by SCRIPT LOAD, once for each script.
	loaded
	// carried sends the source by EVAL with the first call of each script; in a Cluster with
	// the first call of each script and key, so that it also reaches servers of which the
	// client has not heard yet.
	carried
	// always sends the source by EVAL with every call.
	always
)

// usually is the way that is tried first.
func (r *Redis) usually() way {
	if r.hashless.Load() {
		return always
	}
	return byHash
}

// runOtherwise sends calls again that were not executed, in the other ways, until the server
// accepts one. A user with the least rights may use SCRIPT LOAD on one server and EVAL in a
// Cluster (docs/redis.md). These ways come first, since each refusal is logged in ACL LOG.
func (r *Redis) runOtherwise(ctx context.Context, calls []*call) {
	var ways []way
	switch {
	case r.hashless.Load(): // EVAL was refused: the next call begins with EVALSHA again
		r.hashless.Store(false)
		return
	case refusesHash(calls):
		ways = []way{always}
	case r.oneServer:
		ways = []way{loaded, carried}
	case r.opaque:
		ways = []way{carried, loaded}
	default:
		ways = []way{carried}
	}
	for _, how := range ways {
		r.send(ctx, calls, how, nil)
		left := unexecuted(calls)
		if how == always && len(left) == 0 {
			r.hashless.Store(true)
		}
		if calls = left; len(calls) == 0 {
			return
		}
	}
	for _, c := range calls { // NOSCRIPT alone does not tell why the script could not be loaded
		switch err := c.cmd.Err(); {
		case c.refusal == nil || err == nil:
		case isReply(err, "NOSCRIPT"):
			c.cmd.SetErr(c.refusal)
		default:
			c.cmd.SetErr(fmt.Errorf("%w; EVAL: %w", c.refusal, err))
		}
	}
}

// unexecuted returns the calls to be sent again: those whose script the server did not know,
// or refused to run in this way, and later calls on the same keys, whose answers may be wrong
// since the former did not run. Attempts in doubt do not matter: each script is safe to run
// twice.
func unexecuted(calls []*call) []*call {
	var missing []*call
	keys := make(map[string]bool)
	for _, c := range calls {
		err := c.cmd.Err()
		if len(c.keys) == 0 {
			continue
		}
		if c.unknown || isReply(err, "NOSCRIPT") || refusesCommand(err, "eval") || err == nil && keys[c.keys[0]] {
			keys[c.keys[0]] = true
			missing = append(missing, c)
		}
	}
	return missing
}

// refusesHash says whether the server refuses EVALSHA for every script. It notes the refusal
// in the calls.
func refusesHash(calls []*call) bool {
	refused := false
	for _, c := range calls {
		if err := c.cmd.Err(); refusesCommand(err, "evalsha") {
			refused, c.refusal = true, fmt.Errorf("EVALSHA: %w", err)
		}
	}
	return refused
}

// refusesCommand says whether a server does not know a command, or does not allow it: the
// command was renamed, or an ACL or a proxy refuses it.
func refusesCommand(err error, name string) bool {
	text := strings.ToLower(replyText(err))
	if !strings.HasPrefix(text, "err") && !strings.HasPrefix(text, "noperm") {
		return false
	}
	return strings.Contains(text, name) || text == "err unknown command" || text == "err unsupported command"
}

// loader makes the scripts of one pipeline known to the server.
type loader struct {
	redis *Redis
	how   way
	done  map[place]*redis.StringCmd // the scripts sent so far: SCRIPT LOAD, or nil for EVAL
}

// place is where a script was sent: to the one server, or in a Cluster to that of key.
type place struct {
	script *script
	key    string
}

// command returns the command that calls a script, and the hash or the source that names the
// script in it.
func (l *loader) command(ctx context.Context, pipe redis.Pipeliner, c *call) (command, text string) {
	switch l.how {
	case byHash:
		return "evalsha", c.script.sha
	case always:
		return "eval", c.script.source
	}
	if l.done == nil {
		l.done = make(map[place]*redis.StringCmd)
	}
	at := place{script: c.script}
	if l.how == loaded {
		if _, known := l.done[at]; !known {
			l.done[at] = pipe.ScriptLoad(ctx, c.script.source)
		}
		return "evalsha", c.script.sha
	}
	if !l.redis.oneServer {
		at.key = c.keys[0]
	}
	if _, known := l.done[at]; known {
		return "evalsha", c.script.sha
	}
	l.done[at] = nil
	return "eval", c.script.source
}

// noteRefusals notes in each call whether the server refused SCRIPT LOAD of its script.
func (l *loader) noteRefusals(calls []*call) {
	if l.how != loaded {
		return
	}
	for _, c := range calls {
		if load := l.done[place{script: c.script}]; load != nil && Answered(load.Err()) {
			c.refusal = fmt.Errorf("SCRIPT LOAD: %w", load.Err())
		}
	}
}
