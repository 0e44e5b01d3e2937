// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patiences are after how many ms without a reply each Sentinel takes a server for dead. One is
// longer than the others: if all Sentinels start a failover at the same moment, each votes for
// itself and nothing happens until the next vote.
var patiences = [3]string{"1000", "1000", "2000"}

// masterName is what the Sentinels call the set.
const masterName = "shop"

// SentinelSet is a master and two replicas, watched by three Sentinels. Two of them
// take a server for dead that has not answered for a second. They prefer the first
// replica, however far it lags.
type SentinelSet struct {
	Master    *Server    // at the start
	Replicas  [2]*Server // at the start
	Sentinels [3]*Server
}

// StartSentinel starts a set for one test and ends it with the test; args are
// further arguments of the master and the replicas.
func StartSentinel(t testing.TB, args ...string) *SentinelSet {
	t.Helper()
	s := &SentinelSet{}
	args = append(append([]string{}, quickReplication...), args...)
	s.Master = Start(t, args...)
	host, port, _ := strings.Cut(s.Master.Addr, ":")
	for i := range s.Replicas {
		s.Replicas[i] = Start(t, append([]string{
			"--replicaof", host + " " + port, "--replica-priority", strconv.Itoa(10 * (i + 1)),
		}, args...)...)
	}
	for _, r := range s.Replicas {
		r.InSync(t)
	}
	if err := s.watch(t); err != nil {
		t.Fatal(err)
	}
	return s
}

// watch starts the Sentinels. Their configuration names the other Sentinels and the replicas,
// which they would otherwise discover after some seconds.
func (s *SentinelSet) watch(t testing.TB) error {
	for i := range s.Sentinels {
		s.Sentinels[i] = &Server{dir: t.TempDir(), args: []string{"--sentinel"}}
		if err := s.Sentinels[i].takePort(); err != nil {
			return err
		}
		s.Sentinels[i].config = filepath.Join(s.Sentinels[i].dir, "sentinel.conf")
	}
	id := func(i int) string { return fmt.Sprintf("%040x", 0xabc000+i) }
	for i, sentinel := range s.Sentinels {
		host, port, _ := strings.Cut(s.Master.Addr, ":")
		lines := []string{
			"sentinel myid " + id(i),
			"sentinel monitor " + masterName + " " + host + " " + port + " 2",
			"sentinel down-after-milliseconds " + masterName + " " + patiences[i],
			"sentinel failover-timeout " + masterName + " 4000", // half of the time after which they vote again
			"sentinel parallel-syncs " + masterName + " 2",
		}
		for _, r := range s.Replicas {
			lines = append(lines, "sentinel known-replica "+masterName+" "+strings.Replace(r.Addr, ":", " ", 1))
		}
		for j, other := range s.Sentinels {
			if j != i {
				lines = append(lines, "sentinel known-sentinel "+masterName+" "+
					strings.Replace(other.Addr, ":", " ", 1)+" "+id(j))
			}
		}
		text := strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(sentinel.config, []byte(text), 0o600); err != nil {
			return err
		}
		if err := sentinel.launch(); err != nil {
			return err
		}
		t.Cleanup(func() {
			sentinel.Kill()
			if t.Failed() {
				t.Logf("log of the Sentinel at %s:\n%s", sentinel.Addr, sentinel.log())
			}
		})
	}
	return s.ready(patience)
}

// Ready waits until all Sentinels could fail over: some are busy for a while after a
// failover.
func (s *SentinelSet) Ready(t testing.TB) {
	t.Helper()
	if err := s.ready(3 * patience); err != nil {
		t.Fatal(err)
	}
}

func (s *SentinelSet) ready(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, sentinel := range s.Sentinels {
		err := poll(ctx, func() error { return sentinel.ask(func(c *redis.Client) error { return ready(ctx, c) }) })
		if err != nil {
			return fmt.Errorf("the Sentinel at %s: %w", sentinel.Addr, err)
		}
	}
	return nil
}

// ready returns nil if a Sentinel could fail over now: it is connected to the master,
// both replicas and both other Sentinels, and has read INFO from the replicas.
func ready(ctx context.Context, sentinel *redis.Client) error {
	if err := sentinel.Do(ctx, "SENTINEL", "CKQUORUM", masterName).Err(); err != nil {
		return err
	}
	lists, err := sentinel.Do(ctx, "SENTINEL", "REPLICAS", masterName).Slice()
	if err != nil {
		return err
	}
	for _, list := range lists {
		text := fmt.Sprint(list)
		if !strings.Contains(text, "flags slave ") && !strings.Contains(text, "flags:slave ") ||
			!strings.Contains(text, "master-link-status ok") && !strings.Contains(text, "master-link-status:ok") {
			return errors.New("a replica is not heard yet: " + text)
		}
	}
	if len(lists) != 2 {
		return fmt.Errorf("it knows %d replicas", len(lists))
	}
	return nil
}

// URL is in the form of redis.ParseFailoverURL.
func (s *SentinelSet) URL() string {
	addrs := addresses(s.Sentinels[:])
	return "redis://" + addrs[0] + "/0?master_name=" + masterName + "&addr=" + strings.Join(addrs[1:], "&addr=")
}

// Client returns a client of the present master, closed with the test.
func (s *SentinelSet) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: addresses(s.Sentinels[:]),
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Failover orders the Sentinels to fail over while the master is alive.
func (s *SentinelSet) Failover(t testing.TB) {
	t.Helper()
	err := s.Sentinels[0].ask(func(c *redis.Client) error {
		return c.Do(context.Background(), "SENTINEL", "FAILOVER", masterName).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Agreed waits until every Sentinel names this server as the master.
func (s *SentinelSet) Agreed(t testing.TB, master *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := poll(ctx, func() error {
		if !s.IsMaster(master) {
			return fmt.Errorf("not every Sentinel takes %s for the master", master.Addr)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// IsMaster says whether every Sentinel names this server as the master.
func (s *SentinelSet) IsMaster(server *Server) bool {
	for _, sentinel := range s.Sentinels {
		err := sentinel.ask(func(c *redis.Client) error {
			addr, err := c.Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName).StringSlice()
			if err == nil && strings.Join(addr, ":") != server.Addr {
				err = fmt.Errorf("the master is %v", addr)
			}
			return err
		})
		if err != nil {
			return false
		}
	}
	return true
}
