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

// Lineage implements [Store]. A server names the history of its data by master_replid in
// INFO replication; each restart, and each promotion of a replica, begins another one. The
// ids of all masters together name the lineage, whether or not they hold keys of the app.
func (r *Redis) Lineage(ctx context.Context) (string, error) {
	if hidden, err := r.hidesCluster(ctx); hidden || err != nil {
		return "", err // INFO would be answered by another server each time
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

// lineageOf computes the lineage from the INFO replication of all masters.
func lineageOf(infos []string, err error) (string, error) {
	switch {
	case refusesInfo(err):
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

// eachMaster calls do for the one server, or for all masters of a Cluster at the same time.
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

// infoOf asks a server for a section of INFO. It does so in a pipeline, like every call
// here: a client may have a second pool of connections for single commands.
func infoOf(ctx context.Context, server redis.Cmdable, section string) (string, error) {
	pipe := server.Pipeline()
	info := pipe.Info(ctx, section)
	_, err := pipe.Exec(ctx)
	if err != nil && info.Err() == nil && info.Val() == "" {
		return "", greetingError{err} // as in send
	}
	return info.Val(), info.Err()
}

// greetingError is why a server refused the connection's greeting (HELLO, AUTH). It is no
// answer to the command itself.
type greetingError struct{ error }

func (e greetingError) Unwrap() error { return e.error }

// refusesInfo says whether err means that a server never answers INFO: the user may not ask,
// a proxy does not know the command, or miniredis does not know the section. A refusal that
// passes is an error.
func refusesInfo(err error) bool {
	var greeting greetingError
	return Answered(err) && !momentary(err) && !errors.As(err, &greeting)
}

// infoField returns the value of a line "name:value" of INFO, or "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}
