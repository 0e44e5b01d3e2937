// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lineage implements [Store]. A server names the history of its data in
// master_replid of INFO replication: another one after each restart and each
// promotion of a replica. All masters' together name that of the app's data;
// which of them hold keys of the app does not matter.
func (r *Redis) Lineage(ctx context.Context) (string, error) {
	if hidden, err := r.hidesCluster(ctx); hidden || err != nil {
		return "", err // each time another server would answer
	}
	var mu sync.Mutex
	var infos []string // guarded by mu
	err := r.eachMaster(ctx, func(ctx context.Context, server redis.Cmdable) error {
		info, err := replicationOf(ctx, server)
		mu.Lock()
		defer mu.Unlock()
		infos = append(infos, info)
		return err
	})
	return lineageOf(infos, r.explain(err, nil))
}

// lineageOf makes the lineage of what the masters said of their replication.
func lineageOf(infos []string, err error) (string, error) {
	switch {
	case untold(err):
		return "", nil
	case err != nil:
		return "", printable(err, maxSaid)
	}
	ids := make([]string, len(infos))
	for i, info := range infos {
		ids[i] = infoField(info, "master_replid")
	}
	if slices.Contains(ids, "") {
		return "", nil
	}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return hex.EncodeToString(sum[:8]), nil
}

// eachMaster calls do for the one server, or for each master of a Cluster at
// the same time.
func (r *Redis) eachMaster(ctx context.Context, do func(context.Context, redis.Cmdable) error) error {
	if r.cluster == nil {
		return do(ctx, r.client)
	}
	return r.cluster.ForEachMaster(ctx, func(ctx context.Context, client *redis.Client) error { return do(ctx, client) })
}

// replicationOf asks a server how it is replicated.
func replicationOf(ctx context.Context, server redis.Cmdable) (string, error) {
	return infoOf(ctx, server, "replication")
}

// infoOf asks a server for a section of INFO, in a pipeline like everything
// else: a client may have a second pool of connections for single commands.
func infoOf(ctx context.Context, server redis.Cmdable, section string) (string, error) {
	pipe := server.Pipeline()
	info := pipe.Info(ctx, section)
	_, err := pipe.Exec(ctx)
	if err != nil && info.Err() == nil && info.Val() == "" {
		return "", greetingError{err} // as in send
	}
	return info.Val(), info.Err()
}

// greetingError is why a server would not talk to us at all. It is no answer to
// what was to be asked.
type greetingError struct{ error }

func (e greetingError) Unwrap() error { return e.error }

// untold says whether a server does not tell of itself: it refuses INFO, for
// want of a right or since it does not know the command, as some proxies don't, or
// the section, as miniredis doesn't. What is only so for the moment is an error.
func untold(err error) bool {
	var greeting greetingError
	return Answered(err) && !momentary(err) && !errors.As(err, &greeting)
}

// infoField reads a line "name:value" of INFO, or gives "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// AwaitReplicas implements [Store]. WAIT heeds the writes of its own
// connection, so each server is given one first: a verification, which writes
// its stamp and is behind all that was acknowledged before.
func (r *Redis) AwaitReplicas(ctx context.Context, verifications []Commit, timeout time.Duration) (unconfirmed int, err error) {
	if hidden, err := r.hidesCluster(ctx); hidden || err != nil {
		return 0, err // WAIT would reach any server
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

// ErrSteppedBack says that a server lacks what it had acknowledged.
var ErrSteppedBack = errors.New("the server has stepped back")

// awaitReplica asks one server. It is content where there is no replica.
func (r *Redis) awaitReplica(ctx context.Context, server redis.UniversalClient, verification *Commit, timeout time.Duration) (bool, error) {
	info, err := replicationOf(ctx, server)
	if untold(err) {
		return true, nil // nor is there a way to know of replicas
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
		return true, nil // it refuses WAIT, so there is no way to know
	case err != nil:
		return false, fmt.Errorf("WAIT: %w", err)
	}
	return n > 0, nil
}

// verify sends a verification and WAIT over one connection.
func (r *Redis) verify(ctx context.Context, server redis.UniversalClient, c *call, how way, timeout time.Duration) (confirmed *redis.Cmd) {
	t := teller{redis: r, how: how}
	pipe := server.Pipeline()
	command, text := t.tell(ctx, pipe, c)
	args := []any{command, text, c.script.keys}
	for _, k := range c.keys {
		args = append(args, k)
	}
	c.cmd = pipe.Do(ctx, append(args, c.args...)...)
	confirmed = pipe.Do(ctx, "wait", 1, timeout.Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	return confirmed
}
