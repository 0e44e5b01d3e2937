// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	// fewConnections is how many connections a client needs at least that the application
	// uses too: shoal takes one to write, one to read and, for some minutes now and then, one for
	// the housekeeping.
	fewConnections = 4
	// longTimeout bounds what the client's own timeout should be where nothing else ends
	// a call: the lease is not renewed meanwhile.
	longTimeout = 10 * time.Second
)

// Check returns an error for a client with which shoal can't keep its promises.
func Check(client redis.UniversalClient) error {
	inner := wire.Innermost(client)
	if inner == nil || reflect.ValueOf(inner).Kind() == reflect.Pointer && reflect.ValueOf(inner).IsNil() {
		return errors.New("the Redis client is nil: make one with redis.NewClient, or use Open")
	}
	if _, ring := inner.(interface{ Options() *redis.RingOptions }); ring {
		return errors.New("the Redis client is a redis.Ring, which moves keys to other servers " +
			"when one is away, so that totals would be torn apart: use a client of one server, of Sentinel or of a Cluster")
	}
	return nil
}

// settings are those of a client of which shoal warns. Timeouts are as go-redis keeps
// them: 0 for one that was switched off by -1, so that only the deadline of a context
// counts, and negative for one that was switched off altogether.
type settings struct {
	contexts    bool // ContextTimeoutEnabled
	read, write time.Duration
	connections int  // of all pools
	replicas    bool // reads go to replicas
}

// settingsOf reads a client's settings. They are not known where another type hides the
// client.
func settingsOf(client redis.UniversalClient) (s settings, known bool) {
	var pipelines int
	switch c := wire.Innermost(client).(type) {
	case interface{ Options() *redis.Options }:
		o := c.Options()
		s = settings{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolSize, false}
		pipelines = o.PipelinePoolSize
	case interface{ Options() *redis.ClusterOptions }:
		o := c.Options()
		s = settings{o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout, o.PoolSize, o.ReadOnly}
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

// Warnings says which settings of a client do harm, why, and what to set instead.
func Warnings(client redis.UniversalClient) []error {
	s, known := settingsOf(client)
	if !known {
		return nil
	}
	var list []error
	warn := func(format string, args ...any) {
		list = append(list, fmt.Errorf(format, args...))
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
		warn("PoolSize and PipelinePoolSize allow %d connections in all. shoal takes up to three at a time, "+
			"so it and the application wait for each other: allow at least %d more", s.connections, fewConnections-s.connections)
	}
	if s.replicas {
		warn("it would read from replicas (ReadOnly, ReplicaOnly, RouteByLatency or RouteRandomly). " +
			"They lag, and counters would step back, so shoal reads from masters all the same, by scripts")
	}
	return list
}
