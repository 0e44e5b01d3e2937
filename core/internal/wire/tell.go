// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// way is how scripts are sent.
type way int

const (
	// byHash sends the hash alone: the server knows the script, as a rule.
	byHash way = iota
	// loaded sends the source ahead by SCRIPT LOAD, once for each script.
	loaded
	// carried sends the source by EVAL with the first call of each script, in
	// a Cluster of each script and key: so it reaches also servers that the
	// client has not heard of yet.
	carried
	// always sends the source by EVAL with every call.
	always
)

// usually is how scripts are sent first.
func (r *Redis) usually() way {
	if r.hashless.Load() {
		return always
	}
	return byHash
}

// runOtherwise sends calls again that were not executed, in the ways that are
// left, until the server takes them. Where an ACL is least, it allows SCRIPT
// LOAD on one server and EVAL in a Cluster: these ways come first, so that
// nothing is refused for which an entry in ACL LOG would be made.
func (r *Redis) runOtherwise(ctx context.Context, calls []*call) {
	var ways []way
	switch {
	case r.hashless.Load(): // EVAL is refused now: begin anew with the next call
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
		r.send(ctx, calls, how)
		left := unexecuted(calls)
		if how == always && len(left) == 0 {
			r.hashless.Store(true)
		}
		if calls = left; len(calls) == 0 {
			return
		}
	}
	for _, c := range calls { // why the script is unknown says more than that it is
		switch err := c.cmd.Err(); {
		case c.refusal == nil || err == nil:
		case isReply(err, "NOSCRIPT"):
			c.cmd.SetErr(c.refusal)
		default:
			c.cmd.SetErr(fmt.Errorf("%w; EVAL: %w", c.refusal, err))
		}
	}
}

// unexecuted picks the calls to be sent again: those whose script the server
// did not know, or would not run in this way, and later ones on the same keys,
// which may have been answered in the light of the former's absence. Whether an
// earlier attempt is in doubt does not matter: each script is safe to run twice.
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

// refusesHash says whether the server refuses EVALSHA altogether.
func refusesHash(calls []*call) bool {
	refused := false
	for _, c := range calls {
		if err := c.cmd.Err(); refusesCommand(err, "evalsha") {
			refused, c.refusal = true, fmt.Errorf("EVALSHA: %w", err)
		}
	}
	return refused
}

// refusesCommand says whether a server does not know a command, or does not
// allow it: it was renamed, an ACL is in the way, or a proxy.
func refusesCommand(err error, name string) bool {
	text := strings.ToLower(replyText(err))
	if !strings.HasPrefix(text, "err") && !strings.HasPrefix(text, "noperm") {
		return false
	}
	return strings.Contains(text, name) || text == "err unknown command" || text == "err unsupported command"
}

// teller makes the scripts of one pipeline known in the way that was chosen.
type teller struct {
	redis *Redis
	how   way
	done  map[place]*redis.StringCmd // what was told, by SCRIPT LOAD or (nil) by EVAL
}

// place is where a script was told.
type place struct {
	script *script
	key    string
}

// tell returns the command for a call of a script, and the text that names the
// script in it.
func (t *teller) tell(ctx context.Context, pipe redis.Pipeliner, c *call) (command, text string) {
	switch t.how {
	case byHash:
		return "evalsha", c.script.sha
	case always:
		return "eval", c.script.source
	}
	if t.done == nil {
		t.done = make(map[place]*redis.StringCmd)
	}
	at := place{script: c.script}
	if t.how == loaded {
		if _, known := t.done[at]; !known {
			t.done[at] = pipe.ScriptLoad(ctx, c.script.source)
		}
		return "evalsha", c.script.sha
	}
	if !t.redis.oneServer {
		at.key = c.keys[0]
	}
	if _, known := t.done[at]; known {
		return "evalsha", c.script.sha
	}
	t.done[at] = nil
	return "eval", c.script.source
}

// told notes with each call whether the server refused to be told its script.
func (t *teller) told(calls []*call) {
	if t.how != loaded {
		return
	}
	for _, c := range calls {
		if load := t.done[place{script: c.script}]; load != nil && Answered(load.Err()) {
			c.refusal = fmt.Errorf("SCRIPT LOAD: %w", load.Err())
		}
	}
}
