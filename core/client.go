// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// fewConnections is below what a client needs that an application shares:
// shoal takes one to write and one to read, and the application needs some.
const fewConnections = 3

// longTimeout is more than a call of shoal's may take where nothing but the
// client's own timeout ends it: a lease could not be renewed meanwhile.
const longTimeout = 2 * callTimeout

// refuseClient returns an error for a client with which shoal can't keep what
// it promises.
func refuseClient(client redis.UniversalClient) error {
	inner := wire.Innermost(client)
	if inner == nil || reflect.ValueOf(inner).Kind() == reflect.Pointer && reflect.ValueOf(inner).IsNil() {
		return errors.New("shoal: Connect: the Redis client is nil: make one with redis.NewClient, or use Open")
	}
	if _, ring := inner.(interface{ Options() *redis.RingOptions }); ring {
		return errors.New("shoal: Connect: the Redis client is a redis.Ring, which moves keys to other servers " +
			"when one is away, so that totals would be torn apart: use a client of one server, of Sentinel or of a Cluster")
	}
	return nil
}

// newStore returns what makes the store of an app behind a client, whose
// connections may be guarded.
func (r *Registry) newStore(client redis.UniversalClient, guarded bool) func(app string) wire.Store {
	return func(app string) wire.Store {
		store := wire.NewRedis(client, app)
		store.Guarded = guarded
		store.Report = func(err error) { r.report("client", err) }
		store.Mended = r.mended
		return store
	}
}

// clientSettings are those that single clients and a Cluster's have in common,
// as go-redis keeps them: no timeout is 0, and one that not even a context's
// deadline replaces is negative.
type clientSettings struct {
	contexts    bool
	read, write time.Duration
	connections int
	replicas    bool
}

// settingsOf reads a client's settings. Where a type hides the client they are
// not known.
func settingsOf(client redis.UniversalClient) (s clientSettings, known bool) {
	var pipelines int
	switch c := wire.Innermost(client).(type) {
	case interface{ Options() *redis.Options }:
		o := c.Options()
		s = clientSettings{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolSize, false}
		pipelines = o.PipelinePoolSize
	case interface{ Options() *redis.ClusterOptions }:
		o := c.Options()
		s = clientSettings{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolSize, o.ReadOnly}
		pipelines = o.PipelinePoolSize
	default:
		return s, false
	}
	if pipelines == 0 {
		pipelines = redis.DefaultPipelinePoolSize
	}
	s.connections += max(0, pipelines)
	return s, true
}

// clientWarnings says which settings of a client harm, why, and what to set.
func clientWarnings(client redis.UniversalClient) []error {
	s, known := settingsOf(client)
	if !known {
		return nil
	}
	var list []error
	warn := func(format string, args ...any) {
		list = append(list, fmt.Errorf("shoal: the Redis client: "+format, args...))
	}
	if !s.contexts {
		warn("ContextTimeoutEnabled is false, so go-redis ignores the deadlines of shoal's calls, " +
			"and its work goes on after Close has returned: set it to true")
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"ReadTimeout", s.read}, {"WriteTimeout", s.write}} {
		switch {
		case t.value < 0 || t.value == 0 && !s.contexts:
			warn("%s is off, so a call on a connection that broke unnoticed may hang for minutes, "+
				"and shoal with it: set it to 3s, and use another client for commands that block", t.name)
		case t.value > longTimeout && !s.contexts:
			warn("%s is %v, and so long may a call on a connection that broke unnoticed hang, "+
				"and shoal with it: set it to 3s, and use another client for commands that block", t.name, t.value)
		}
	}
	if s.connections < fewConnections {
		warn("PoolSize and PipelinePoolSize allow %d connections in all. shoal takes up to two at a time, "+
			"so it and the application wait for each other: allow at least %d more", s.connections, fewConnections-s.connections)
	}
	if s.replicas {
		warn("it would read from replicas (ReadOnly, ReplicaOnly, RouteByLatency or RouteRandomly). " +
			"They lag, and counters would step back, so shoal reads from masters all the same, by scripts")
	}
	return list
}

// warnOf reports what [clientWarnings] finds, once.
func (r *Registry) warnOf(client redis.UniversalClient) {
	for i, err := range clientWarnings(client) {
		r.report(fmt.Sprint("client ", i), err)
	}
}
