// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis keeps an app's metrics in a Redis server, behind Sentinel, or in a
// Cluster. See the package documentation for the protocol.
type Redis struct {
	// Report, if not nil, is called once if Redis's first answer shows that the client is of
	// the wrong kind. Set it before the first use.
	Report func(error)
	// Mended, if not nil, is called when a call replaced what was damaged in the keys that it
	// writes: where, and how much. Set it before the first use.
	Mended func(where string, n int)
	// Guarded says that package guard checks what comes over the client's connections: it
	// puts [Overlong] in place of a text longer than [MaxText]. For other clients read-1.lua
	// does so on the server, and valuesReply with the values of a page. Set it before the
	// first use.
	Guarded bool

	client redis.UniversalClient // as it was given, with all its wrappers
	// timeout is how long the client waits for the answers to a pipeline.
	timeout time.Duration
	keys    keys
	// oneServer says that all keys are on one server: a script that was sent once is known
	// to the rest of the pipeline.
	oneServer bool
	// replicas says that the client would send reading commands to replicas. A script does
	// the reading then, since scripts go to masters.
	replicas bool
	// cluster gives access to a Cluster's servers; nil for other clients.
	cluster cluster
	// opaque says that the kind of the client is unknown; hidden is what hidesCluster found.
	opaque bool
	hidden atomic.Pointer[bool]
	// sentinel says that Sentinels name the master.
	sentinel bool
	// tls and plain say how the client connects; both are false if that is unknown.
	tls, plain bool
	// hashless says that the server refuses EVALSHA.
	hashless atomic.Bool
	pace     readPace
	// long are the keys in which a text was met that is too long.
	long   longKeys
	sizes  gaugeSizes
	resets lateResets
}

var _ Store = (*Redis)(nil)

// FailoverAddr is the address that go-redis gives to a client whose master Sentinels name.
const FailoverAddr = "FailoverClient"

// NewRedis returns the store of one app. It does no I/O, and it does not own
// the client.
func NewRedis(client redis.UniversalClient, app string) *Redis {
	r := &Redis{client: client, keys: keys{app}, timeout: usualTimeout}
	inner := Innermost(client)
	_, r.oneServer = inner.(*redis.Client)
	switch c := inner.(type) {
	case interface{ Options() *redis.Options }:
		r.timeout = shortestTimeout(c.Options().ReadTimeout, c.Options().WriteTimeout)
		r.sentinel = c.Options().Addr == FailoverAddr
		r.tls = c.Options().TLSConfig != nil
		r.plain = !r.tls && c.Options().Network != "unix"
	case interface{ Options() *redis.ClusterOptions }:
		r.timeout = shortestTimeout(c.Options().ReadTimeout, c.Options().WriteTimeout)
		r.replicas = c.Options().ReadOnly
		r.tls = c.Options().TLSConfig != nil
		r.plain = !r.tls
	}
	r.cluster, _ = inner.(cluster)
	r.opaque = !r.oneServer && r.cluster == nil
	r.pace.begin(r.timeout)
	return r
}

// call is one execution of a script, or one reading command.
type call struct {
	script  *script
	command string // if script is nil
	keys    []string
	args    []any
	cmd     *redis.Cmd // its reply
	// room, if not nil, is a slice for all words of the command. Its end is args, so that a
	// long list of args is not copied.
	room []any

	doubt   bool  // an earlier attempt may have been executed
	unknown bool  // the server did not know the script, whatever cmd's error says
	refusal error // of SCRIPT LOAD or EVALSHA
}

// lineHead is how many words come before the keys in a script's call.
const lineHead = 3

// reading prepares a command that reads a hash on a master and does not return texts that
// are too long. As a script, it ends its reply with the text that exceeds room bytes. As a
// plain command, which is for a guarded client, the guard bounds the reply.
func (r *Redis) reading(room int, command, key string, args ...any) *call {
	if careful := r.long.has(key); r.replicas || !r.Guarded || careful {
		return &call{script: readScript, keys: []string{key}, args: append([]any{command, MaxText, room, flag(careful)}, args...)}
	}
	return &call{command: command, keys: []string{key}, args: args}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// run executes calls in one pipeline, in their order. Each call's cmd holds
// its reply afterwards, or its error.
func (r *Redis) run(ctx context.Context, calls ...*call) { r.runBefore(ctx, nil, calls) }

// runBefore is run for a pipeline that ends with the reading of values, unless that is nil.
func (r *Redis) runBefore(ctx context.Context, values *valuePipeline, calls []*call) {
	r.send(ctx, calls, r.usually(), values)
	if missing := unexecuted(calls); len(missing) > 0 {
		values.overtook()
		r.runOtherwise(ctx, missing)
	}
	for _, c := range calls {
		if err := c.cmd.Err(); err != nil {
			if !Answered(err) {
				r.resets.forget()
			}
			c.cmd.SetErr(r.explain(err, c))
		}
	}
	for _, c := range calls {
		if r.reloadAfter(ctx, c.cmd.Err()) {
			return
		}
	}
}

// readAttempts is how often a reading that gets no answer is tried.
const readAttempts = 3

// read is run for calls that only read. A connection may have died, so where a call gets no
// answer, all are sent again over another one while there is time.
func (r *Redis) read(ctx context.Context, calls ...*call) { r.readBefore(ctx, nil, calls) }

// readBefore is read for a pipeline that ends with the reading of values, unless that is nil.
func (r *Redis) readBefore(ctx context.Context, values *valuePipeline, calls []*call) {
	var first []error // of the first attempt: that of a later one may only be that time is over
	for n := 1; ; n++ {
		r.runBefore(ctx, values, calls)
		for i, err := range first {
			if err != nil && ctx.Err() != nil && calls[i].cmd.Err() != nil {
				calls[i].cmd.SetErr(err)
			}
		}
		i := slices.IndexFunc(calls, func(c *call) bool { return unanswered(ctx, c.cmd.Err()) })
		if i < 0 || n == readAttempts {
			return
		}
		first = make([]error, len(calls))
		for i, c := range calls {
			first[i] = c.cmd.Err()
			c.doubt, c.unknown = false, false
		}
	}
}

// unanswered says whether err means that what was sent got no answer, and there is time to
// send it again.
func unanswered(ctx context.Context, err error) bool {
	return err != nil && !Answered(err) && !PoolTaken(err) && ctx.Err() == nil
}

// reloadAfter makes a Cluster's client ask where the slots are, if an error says that they
// may have moved. By itself the client asks after a redirection, and else once a minute,
// which is late after a failover.
func (r *Redis) reloadAfter(ctx context.Context, err error) (reloaded bool) {
	if r.cluster == nil || err == nil || (Answered(err) && !isReply(err, "CLUSTERDOWN") && !isReply(err, "READONLY")) {
		return false
	}
	r.cluster.ReloadState(ctx)
	return true
}

// send sends calls in one pipeline, and their scripts in the way that how says. Behind them
// go the commands of values, if that is not nil.
func (r *Redis) send(ctx context.Context, calls []*call, how way, values *valuePipeline) {
	l := loader{redis: r, how: how}
	attempts := make([]attempt, len(calls))
	pipe := r.client.Pipeline()
	for i, c := range calls {
		args := slices.Grow(c.room[:0], lineHead+len(c.keys)+len(c.args))
		c.room = nil // a hook may hold on to it
		if c.script == nil {
			args = append(args, c.command)
		} else {
			var command string
			command, attempts[i].text = l.command(ctx, pipe, c)
			attempts[i].doubt = c.doubt
			args = append(args, command, &attempts[i], len(c.keys))
		}
		for _, k := range c.keys {
			args = append(args, k)
		}
		c.cmd = redis.NewCmd(ctx, append(args, c.args...)...)
		if c.script == nil {
			_ = pipe.Process(ctx, c.cmd)
		} else {
			_ = pipe.Process(ctx, oneShot{c.cmd, &attempts[i]})
		}
	}
	values.enqueue(ctx, pipe)
	begun := time.Now()
	_, err := pipe.Exec(ctx)
	took := time.Since(begun)
	for i, c := range calls {
		// Each command has its own error, with one exception: if a server refuses the greeting
		// on a new connection (LOADING, WRONGPASS), nothing was sent, and go-redis sets no
		// errors.
		if err != nil && c.cmd.Err() == nil && c.cmd.Val() == nil {
			c.cmd.SetErr(err)
		}
		if c.script != nil {
			attempts[i].settle(c)
		}
	}
	values.sent(err, took)
	l.noteRefusals(calls)
	spreadUnsent(calls)
}

// spreadUnsent marks the errors of calls without a script as unsent if those with a script
// show that nothing of the pipeline was sent.
func spreadUnsent(calls []*call) {
	unsent := func(c *call) bool {
		if c.cmd.Err() == nil {
			return false
		}
		var err unsentError
		return errors.As(c.cmd.Err(), &err)
	}
	if !slices.ContainsFunc(calls, unsent) {
		return
	}
	for _, c := range calls {
		if err := c.cmd.Err(); err != nil && c.script == nil && !Answered(err) {
			c.cmd.SetErr(unsentError{err})
		}
	}
}

// mended tells Mended how much a script has replaced: its reply, if it is a number.
func (r *Redis) mended(where string, reply any) {
	if n, _ := reply.(int64); n > 0 && r.Mended != nil {
		r.Mended(where, int(n))
	}
}

type span struct{ from, to int }

// chunks divides n things into spans of at most size.
func chunks(n, size int) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		for from := 0; from < n; from += size {
			if !yield(span{from, min(from+size, n)}) {
				return
			}
		}
	}
}
