// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	// sentinelPeriod is how often a Sentinel is asked for the master's address, and how
	// long one has to answer before the others are asked as well.
	sentinelPeriod = time.Second
	// sentinelTimeout bounds one search for the master, among all Sentinels.
	sentinelTimeout = 5 * time.Second
)

// sentinelClient is a client of the master that Sentinels name.
//
// go-redis's own client trusts Sentinels. A server that pretends to be one can end the process,
// by an answer without an address or a message of another form: go-redis panics in a
// goroutine where nobody can recover. It also asks every further Sentinel that one of them
// names.
type sentinelClient struct {
	*redis.Client // of the master

	sentinels *sentinels
}

// newSentinelClient takes a URL that parseURL accepts, with the defaults in it.
func newSentinelClient(u *url.URL, app string) (redis.UniversalClient, error) {
	f, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, badURL(unusable)
	}
	if f.ReplicaOnly {
		return nil, badURL("its parameter replica_only is not false: shoal asks the master alone")
	}
	o, err := redis.ParseURL(masterURL(u))
	if err != nil {
		return nil, badURL(unusable)
	}
	set(o, u, app)
	limits := &guard.Limits{}
	s := &sentinels{set: f.MasterName, limits: limits, dial: redis.NewDialer(o)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.last.Store(none)
	for _, addr := range f.SentinelAddrs {
		one := &redis.Options{
			Addr: addr, Username: f.SentinelUsername, Password: f.SentinelPassword, Protocol: f.Protocol,
			TLSConfig: o.TLSConfig, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			PoolSize: o.PoolSize, ClientName: o.ClientName,
		}
		set(one, u, app)
		one.Dialer = guardedDialer(one, limits)
		s.clients = append(s.clients, redis.NewClient(one))
	}
	s.group.Go(s.watch)
	o.Addr, o.Dialer = wire.FailoverAddr, s.dialMaster
	return &sentinelClient{redis.NewClient(o), s}, nil
}

// masterURL turns the URL of a Sentinel set into that of a single server. In the former,
// user and password before the @ are for Sentinel, and those for Redis are parameters.
func masterURL(u *url.URL) string {
	query, master := u.Query(), *u
	master.User = nil
	if user, password := query.Get("username"), query.Get("password"); user != "" || password != "" {
		master.User = url.UserPassword(user, password)
	}
	for _, name := range []string{
		"master_name", "addr", "username", "password", "dialer_retries", "dialer_retry_timeout",
		"context_timeout_enabled", "use_disconnected_replicas", "replica_only", "disableIdentity", "identitySuffix", "unstable_resp3",
	} {
		query.Del(name)
	}
	master.RawQuery = query.Encode()
	return master.String()
}

// Close closes the client and those of the Sentinels.
func (c *sentinelClient) Close() error {
	return errors.Join(c.sentinels.close(), c.Client.Close())
}

// none, in sentinels.last, means that no Sentinel has answered yet, or that the one which
// answered last has stopped answering.
const none = -1

// sentinels finds the master of a set, and notices when another server becomes it.
type sentinels struct {
	set     string          // the master_name
	clients []*redis.Client // of the Sentinels in the URL
	limits  *guard.Limits
	dial    dialer // to a master

	master atomic.Pointer[string] // its address, by the last answer; nil before the first
	last   atomic.Int32           // index in clients of the Sentinel that answered last, or none

	ctx    context.Context // of watch; ends with close
	cancel context.CancelFunc
	group  sync.WaitGroup // watch
}

// dialMaster is the dialer of the master's client. A connection is not used any more once
// another server is the master.
func (s *sentinels) dialMaster(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := s.find(ctx)
	if err != nil {
		return failedDial(err), nil
	}
	conn, err := s.dial(ctx, network, addr)
	if err != nil {
		return failedDial(err), nil
	}
	s.master.CompareAndSwap(nil, &addr) // ask stores nothing once its context has ended
	return guard.New(conn, addr, s.limits, func() error {
		if now := *s.master.Load(); now != addr {
			return fmt.Errorf("the master is %s now, and no more %s", now, addr)
		}
		return nil
	}), nil
}

// watch asks for the master every sentinelPeriod. A master that is cut off from the
// Sentinels does not know that it was replaced: what it still acknowledges is lost.
func (s *sentinels) watch() {
	ticker := time.NewTicker(sentinelPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, sentinelTimeout)
		_, _ = s.find(ctx) // if it fails, the next dial says why
		cancel()
	}
}

// find asks the Sentinel that answered last. If it does not answer now, find asks all of
// them at once and takes the first answer.
func (s *sentinels) find(ctx context.Context) (addr string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if last := s.last.Load(); last != none {
		// It may hang: leave time to ask the others.
		lastCtx, cancel := context.WithTimeout(ctx, sentinelPeriod)
		addr, err = s.ask(lastCtx, last)
		cancel()
		if err == nil {
			return addr, nil
		}
		s.last.CompareAndSwap(last, none)
	}
	type answer struct {
		addr string
		err  error
	}
	answers := make(chan answer, len(s.clients))
	for i := range s.clients {
		go func() { // ends when find returns, which cancels ctx
			addr, err := s.ask(ctx, int32(i))
			answers <- answer{addr, err}
		}()
	}
	var errs []error
	for range s.clients {
		a := <-answers
		if a.err == nil {
			return a.addr, nil
		}
		errs = append(errs, a.err)
	}
	err = wire.Join(errs...)
	if wire.Answered(err) {
		err = &wire.SentinelError{Err: err}
	}
	return "", err
}

// ask asks one Sentinel for the master's address and remembers the answer.
func (s *sentinels) ask(ctx context.Context, i int32) (string, error) {
	client := s.clients[i]
	reply, err := client.Do(ctx, "sentinel", "get-master-addr-by-name", s.set).StringSlice()
	switch {
	case errors.Is(err, redis.Nil):
		err = fmt.Errorf("it knows no master_name %q", s.set)
	case err == nil && !isAddress(reply):
		err = errors.New("what it says is no address")
	}
	if err != nil {
		return "", fmt.Errorf("Sentinel at %s: %w", client.Options().Addr, err)
	}
	addr := net.JoinHostPort(reply[0], reply[1])
	if ctx.Err() == nil { // else another Sentinel was faster
		s.last.Store(i)
		s.master.Store(&addr)
	}
	return addr, nil
}

// isAddress says whether a reply is a host and a port. Anybody may have sent it.
func isAddress(reply []string) bool {
	if len(reply) != 2 {
		return false
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	port, err := strconv.ParseUint(reply[1], 10, 16)
	return err == nil && port > 0 && reply[0] != "" && !strings.ContainsFunc(reply[0], odd)
}

func (s *sentinels) close() error {
	s.cancel()
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	s.group.Wait()
	return errors.Join(errs...)
}
