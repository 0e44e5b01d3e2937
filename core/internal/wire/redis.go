// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Redis keeps an app's metrics in a Redis server, behind Sentinel, or in a
// Cluster. See the package documentation for the protocol.
type Redis struct {
	client redis.UniversalClient
	keys   keys
	// oneServer says that all keys are on one server, so that a script which
	// was sent once is known for the whole pipeline.
	oneServer bool
	// replicas says that the client would send reading commands to replicas.
	// Reads then travel inside a script, which only masters execute.
	replicas bool
	// reload makes a Cluster's client look where the slots are now; nil for
	// other clients.
	reload func(context.Context)
}

var _ Store = (*Redis)(nil)

// NewRedis returns the store of one app. It does no I/O, and it does not own
// the client.
func NewRedis(client redis.UniversalClient, app string) *Redis {
	r := &Redis{client: client, keys: keys{app}}
	_, r.oneServer = client.(*redis.Client)
	if c, ok := client.(interface{ Options() *redis.ClusterOptions }); ok {
		r.replicas = c.Options().ReadOnly
	}
	if c, ok := client.(interface{ ReloadState(context.Context) }); ok {
		r.reload = c.ReloadState
	}
	return r
}

// call is one execution of a script, or one reading command.
type call struct {
	script  *script
	command string // if there is no script
	keys    []string
	args    []any
	cmd     *redis.Cmd
	// room, if there is any, is for the whole line: args, which are long then,
	// are in their place at its end.
	room []any
}

// lineHead is how many words stand before the keys of a script's call.
const lineHead = 3

// reading prepares a command that reads a key, so that a master executes it.
func (r *Redis) reading(command, key string, args ...any) *call {
	if r.replicas {
		return &call{script: readScript, keys: []string{key}, args: append([]any{command}, args...)}
	}
	return &call{command: command, keys: []string{key}, args: args}
}

// run executes calls in one pipeline, in their order. Each call's cmd holds
// its reply afterwards, or its error.
func (r *Redis) run(ctx context.Context, calls ...*call) {
	r.send(ctx, calls, false)
	if missing := unknownScripts(calls); len(missing) > 0 {
		r.send(ctx, missing, true)
	}
	for _, c := range calls {
		if r.reloadAfter(ctx, c.cmd.Err()) {
			return
		}
	}
}

// reloadAfter makes a Cluster's client look where the slots are if an error says
// that they may have moved. The client itself asks only once in a while (60 s by
// default), and when it was redirected. After a failover that is late.
func (r *Redis) reloadAfter(ctx context.Context, err error) (reloaded bool) {
	if r.reload == nil || err == nil || (Answered(err) && !isReply(err, "CLUSTERDOWN") && !isReply(err, "READONLY")) {
		return false
	}
	r.reload(ctx)
	return true
}

// send sends calls in one pipeline, scripts by their hash. Load makes the
// scripts known on the way: one server is told each of them first. Of many
// servers, each call's own is told by the call itself, which carries the
// source; so it reaches also those that the client has not heard of yet.
func (r *Redis) send(ctx context.Context, calls []*call, load bool) {
	type place struct {
		script *script
		key    string
	}
	told := make(map[place]bool)
	var loads []*redis.StringCmd
	attempts := make([]attempt, len(calls))
	pipe := r.client.Pipeline()
	for i, c := range calls {
		args := slices.Grow(c.room[:0], lineHead+len(c.keys)+len(c.args))
		if c.script == nil {
			args = append(args, c.command)
		} else {
			command, text := "evalsha", c.script.sha
			if load {
				at := place{script: c.script}
				if !r.oneServer {
					at.key = c.keys[0]
				}
				switch {
				case told[at]:
				case r.oneServer:
					loads = append(loads, pipe.ScriptLoad(ctx, c.script.source))
				default:
					command, text = "eval", c.script.source
				}
				told[at] = true
			}
			attempts[i].text = text
			args = append(args, command, &attempts[i], c.script.keys)
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
	_, err := pipe.Exec(ctx)
	for i, c := range calls {
		// Each command has its own error, with one exception: where a server
		// refuses the greeting on a new connection (LOADING, WRONGPASS), nothing
		// was sent and go-redis leaves the commands as they were.
		if err != nil && c.cmd.Err() == nil && c.cmd.Val() == nil {
			c.cmd.SetErr(err)
		}
		if c.script != nil {
			c.cmd.SetErr(attempts[i].judge(c.cmd.Err()))
		}
	}
	for _, l := range loads {
		if !Answered(l.Err()) {
			continue
		}
		for _, c := range calls { // why the script is unknown says more than that it is
			if isReply(c.cmd.Err(), "NOSCRIPT") {
				c.cmd.SetErr(l.Err())
			}
		}
	}
}

// unknownScripts picks the calls to be sent again: those whose script the
// server did not know, and later ones on the same keys, which may have been
// answered in the light of the former's absence. None of them is in doubt.
func unknownScripts(calls []*call) []*call {
	var missing []*call
	keys := make(map[string]bool)
	for _, c := range calls {
		err := c.cmd.Err()
		if isReply(err, "NOSCRIPT") || err == nil && keys[c.keys[0]] {
			keys[c.keys[0]] = true
			missing = append(missing, c)
		}
	}
	return missing
}
