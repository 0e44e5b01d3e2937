// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// quickReplication are arguments of masters by which replication begins at once.
var quickReplication = []string{"--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "yes"}

// StartClusterWithReplicas is [StartCluster] with a replica of each master:
// six nodes. A replica may take over however far it lags.
func StartClusterWithReplicas(t testing.TB, args ...string) *Cluster {
	t.Helper()
	args = append(append([]string{
		"--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0",
	}, quickReplication...), args...)
	c, err := startCluster(t.TempDir, args)
	if err != nil {
		t.Fatal(err)
	}
	c.endWith(t)
	for range c.Nodes {
		node, err := startNode(t.TempDir(), args)
		if err != nil {
			t.Fatal(err)
		}
		c.Replicas = append(c.Replicas, node)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.replicate(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// replicate makes each replica follow its master, and waits until all nodes know it.
func (c *Cluster) replicate(ctx context.Context) error {
	ids := make([]string, len(c.Nodes))
	var bus string
	for i, node := range c.Nodes {
		err := node.ask(func(client *redis.Client) (err error) {
			if i == 0 {
				if bus, err = busPort(ctx, client); err != nil {
					return err
				}
			}
			ids[i], err = client.ClusterMyID(ctx).Result()
			return err
		})
		if err != nil {
			return err
		}
	}
	for i, node := range c.Replicas {
		err := node.ask(func(client *redis.Client) error {
			if err := client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].port, bus).Err(); err != nil {
				return err
			}
			return poll(ctx, func() error { // it may not know its master yet
				return client.Do(ctx, "CLUSTER", "REPLICATE", ids[i]).Err()
			})
		})
		if err != nil {
			return fmt.Errorf("the replica at %s: %w", node.Addr, err)
		}
	}
	for _, node := range c.Replicas {
		if err := poll(ctx, func() error { return inSync(ctx, node) }); err != nil {
			return err
		}
	}
	for _, node := range c.all() {
		err := poll(ctx, func() error {
			return node.ask(func(client *redis.Client) error {
				text, err := client.ClusterNodes(ctx).Result()
				if n := strings.Count(text, "slave "); err == nil && n != len(c.Replicas) {
					err = fmt.Errorf("the Cluster's node at %s knows of %d replicas", node.Addr, n)
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Stall disconnects a replica from its master: it serves what it has, and lags.
// It stays so over a failover, until Resume.
func (s *Server) Stall(t testing.TB) {
	t.Helper()
	err := s.ask(func(client *redis.Client) error {
		ctx := context.Background()
		// With a wrong password it can't connect again.
		return errors.Join(
			client.ConfigSet(ctx, "masteruser", "nobody").Err(),
			client.ConfigSet(ctx, "masterauth", "wrong").Err(),
			client.Do(ctx, "CLIENT", "KILL", "TYPE", "master").Err())
	})
	if err != nil {
		t.Fatalf("stalling the replica at %s: %v", s.Addr, err)
	}
}

// Resume undoes Stall.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	err := s.ask(func(client *redis.Client) error {
		ctx := context.Background()
		return errors.Join(
			client.ConfigSet(ctx, "masteruser", "").Err(),
			client.ConfigSet(ctx, "masterauth", "").Err())
	})
	if err != nil {
		t.Fatalf("letting the replica at %s go on: %v", s.Addr, err)
	}
}

// TakeOver orders a failover to a replica of a Cluster, and waits for it. A request may
// time out in the Cluster; then TakeOver asks again.
func (s *Server) TakeOver(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var asked time.Time
	err := poll(ctx, func() error {
		if role, err := s.Role(); err != nil || role == "master" {
			return err
		}
		err := errors.New("it has not taken over")
		if time.Since(asked) > 6*time.Second { // a request times out after 5 s
			asked = time.Now()
			err = errors.Join(err, s.ask(func(c *redis.Client) error { return c.ClusterFailover(ctx).Err() }))
		}
		return err
	})
	if err != nil {
		t.Fatalf("the replica at %s: %v", s.Addr, err)
	}
}

// Role is "master" or "slave".
func (s *Server) Role() (string, error) {
	info, err := s.replication(context.Background())
	return info["role"], err
}

// Becomes waits until a server has a role.
func (s *Server) Becomes(t testing.TB, role string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	err := poll(ctx, func() error {
		got, err := s.Role()
		if err == nil && got != role {
			err = fmt.Errorf("the server at %s is a %s, want a %s", s.Addr, got, role)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// InSync waits until a replica has all that its master had at the call.
func (s *Server) InSync(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := poll(ctx, func() error { return inSync(ctx, s) }); err != nil {
		t.Fatal(err)
	}
}

// inSync returns nil if the replica's link is up and it has read as much as
// its master had written before.
func inSync(ctx context.Context, replica *Server) error {
	info, err := replica.replication(ctx)
	if err != nil {
		return err
	}
	if info["role"] != "slave" || info["master_link_status"] != "up" {
		return fmt.Errorf("the replica at %s: %v", replica.Addr, info)
	}
	master := redis.NewClient(&redis.Options{Addr: info["master_host"] + ":" + info["master_port"], MaxRetries: -1})
	defer func() { _ = master.Close() }()
	its, err := master.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	want, _ := strconv.Atoi(its["Replication"]["master_repl_offset"])
	if want == 0 {
		// Nothing shows whether a new link already streams, so write something.
		return errors.Join(errors.New("the master has written nothing yet"), master.Publish(ctx, "redistest", "").Err())
	}
	return poll(ctx, func() error {
		info, err := replica.replication(ctx)
		if got, _ := strconv.Atoi(info["slave_repl_offset"]); err == nil && got < want {
			err = fmt.Errorf("the replica at %s has read %d of %d bytes", replica.Addr, got, want)
		}
		return err
	})
}

func (s *Server) replication(ctx context.Context) (info map[string]string, err error) {
	err = s.ask(func(client *redis.Client) error {
		all, err := client.InfoMap(ctx, "replication").Result()
		info = all["Replication"]
		return err
	})
	return info, err
}

// ask calls f with a client that is closed afterwards. The client has short timeouts, for a
// frozen server, and does not retry.
func (s *Server) ask(f func(*redis.Client) error) error {
	if err := reachable(s.Addr); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{
		Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second,
	})
	defer func() { _ = client.Close() }()
	return f(client)
}

// poll calls check until it returns nil or the context ends.
func poll(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
