// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// AwaitReplicas implements [Store]. WAIT waits for the writes of its own connection. So each
// server first gets a write: a verification, which writes a stamp. A replica that has it
// also has all that was acknowledged before.
func (r *Redis) AwaitReplicas(ctx context.Context, verifications []Commit, timeout time.Duration) (unconfirmed int, err error) {
	if hidden, err := r.hidesCluster(ctx); hidden || err != nil {
		return 0, err // WAIT would reach some server or other
	}
	type server struct {
		client redis.UniversalClient
		commit *Commit
	}
	servers := make(map[string]server)
	for i := range verifications {
		c := &verifications[i]
		client, name := r.client, ""
		if r.cluster != nil {
			master, err := r.cluster.MasterForKey(ctx, r.keys.control(c.Family))
			if err != nil {
				return 0, r.explain(err, nil)
			}
			client, name = master, master.Options().Addr
		}
		if _, known := servers[name]; !known {
			servers[name] = server{client, c}
		}
	}
	for _, s := range servers {
		replicated, err := r.awaitReplica(ctx, s.client, s.commit, timeout)
		if err != nil {
			return unconfirmed, r.explain(err, nil)
		}
		if !replicated {
			unconfirmed++
		}
	}
	return unconfirmed, nil
}

// ErrSteppedBack says that a server lacks a batch that it had acknowledged.
var ErrSteppedBack = errors.New("the server has stepped back")

// awaitReplica asks one server. It returns true where the server has no replica, does not
// tell whether it has one, or refuses WAIT.
func (r *Redis) awaitReplica(ctx context.Context, server redis.UniversalClient, verification *Commit, timeout time.Duration) (bool, error) {
	info, err := replicationOf(ctx, server)
	if refusesInfo(err) {
		return true, nil // it does not tell of its replicas either
	}
	if err != nil {
		return false, err
	}
	if n, err := strconv.Atoi(infoField(info, "connected_slaves")); err != nil || n == 0 {
		return true, nil
	}
	c := r.commitCall(verification)
	var confirmed *redis.Cmd
	for _, how := range []way{byHash, loaded, always} {
		confirmed = r.verify(ctx, server, c, how, timeout)
		if len(unexecuted([]*call{c})) == 0 {
			break
		}
	}
	switch reply := commitReply(verification, c); {
	case reply.Err != nil:
		return false, reply.Err
	case reply.Status != CommitDuplicate:
		return false, ErrSteppedBack
	}
	n, err := confirmed.Int()
	switch {
	case Answered(err):
		return true, nil // it refuses WAIT
	case err != nil:
		return false, fmt.Errorf("WAIT: %w", err)
	}
	return n > 0, nil
}

// verify sends a verification and WAIT over one connection.
func (r *Redis) verify(ctx context.Context, server redis.UniversalClient, c *call, how way, timeout time.Duration) (confirmed *redis.Cmd) {
	l := loader{redis: r, how: how}
	pipe := server.Pipeline()
	command, text := l.command(ctx, pipe, c)
	args := []any{command, text, c.script.keys}
	for _, k := range c.keys {
		args = append(args, k)
	}
	c.cmd = pipe.Do(ctx, append(args, c.args...)...)
	confirmed = pipe.Do(ctx, "wait", 1, timeout.Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	return confirmed
}
