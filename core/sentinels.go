// SPDX-License-Identifier: Apache-2.0

package shoal

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

// sentinelPeriod is how often a Sentinel is asked whether there is another master, and
// how long it has to answer before the others are asked as well.
const sentinelPeriod = time.Second

// failoverAddr is what go-redis calls a client whose server Sentinels name.
const failoverAddr = "FailoverClient"

// sentinelClient is a client of the master that Sentinels name.
//
// go-redis has one of its own. But it trusts Sentinels: anybody who passes for one ends
// the process, in a goroutine where nobody can recover, with an answer of no address or a
// message that it does not expect; and it asks every further Sentinel that one names.
type sentinelClient struct {
	*redis.Client

	sentinels *sentinels
}

// newSentinelClient takes a URL that was checked.
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
	query, limits := u.Query(), &guard.Limits{}
	setSingle(o, query, app)
	s := &sentinels{set: f.MasterName, limits: limits, dial: redis.NewDialer(o)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.last.Store(none)
	for _, addr := range f.SentinelAddrs {
		each := &redis.Options{
			Addr: addr, Username: f.SentinelUsername, Password: f.SentinelPassword, Protocol: f.Protocol,
			TLSConfig: o.TLSConfig, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			PoolSize: o.PoolSize, ClientName: o.ClientName,
		}
		setSingle(each, query, app)
		each.Dialer = guardedDialer(each, limits)
		s.clients = append(s.clients, redis.NewClient(each))
	}
	s.group.Go(s.watch)
	o.Addr, o.Dialer = failoverAddr, s.dialMaster
	return &sentinelClient{redis.NewClient(o), s}, nil
}

// masterURL is the URL of a Sentinel set as that of a single server: what stands
// before the @ is for Sentinel, and Redis's own user and password are parameters.
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

// none says that no Sentinel is known to answer.
const none = -1

// sentinels finds the master of a set, and notices when it becomes another one.
type sentinels struct {
	set     string
	clients []*redis.Client // of those in the URL
	limits  *guard.Limits
	dial    dialer // to a master

	master atomic.Pointer[string] // its address, as it was told last
	last   atomic.Int32           // which Sentinel answered last, or none

	ctx    context.Context // of watch; ends with close
	cancel context.CancelFunc
	group  sync.WaitGroup // watch
}

// dialMaster is called by the client of the master.
func (s *sentinels) dialMaster(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := s.find(ctx)
	if err != nil {
		return failed(err), nil
	}
	conn, err := s.dial(ctx, network, addr)
	if err != nil {
		return failed(err), nil
	}
	s.master.CompareAndSwap(nil, &addr) // find notes nothing when it is late
	return guard.New(conn, addr, s.limits, func() error {
		if now := *s.master.Load(); now != addr {
			return fmt.Errorf("shoal: the master is %s now, and no more %s", now, addr)
		}
		return nil
	}), nil
}

// watch asks again and again. A master that is cut off from the Sentinels does not
// know that it was replaced, and what it takes is lost.
func (s *sentinels) watch() {
	ticker := time.NewTicker(sentinelPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
		_, _ = s.find(ctx) // in vain: whoever dials next says why
		cancel()
	}
}

// find asks the Sentinel that answered last, and if it does not all of them.
func (s *sentinels) find(ctx context.Context) (addr string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if last := s.last.Load(); last != none {
		// It may hang while the others answer: leave time to ask them.
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
		go func() { // ends with the context
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

// ask asks one Sentinel, and notes what it says.
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

// isAddress says whether a reply is a host and a port.
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
