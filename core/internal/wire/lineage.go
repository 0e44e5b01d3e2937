// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"

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
