// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/guard"
)

// dialer makes a connection to a server, as a client asks for it.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// guardedDialer dials as go-redis does, and guards what comes over the connection.
//
// It reports a failure through the first use of the connection. go-redis would write a
// line to its global logger for each, as long as Redis is away, and after some would
// dial only once a second. shoal reports the failure itself.
func guardedDialer(o *redis.Options, limits *guard.Limits) dialer {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return failed(err), nil
		}
		return guard.New(conn, addr, limits, nil), nil
	}
}

// failed gives the connection that could not be had.
func failed(err error) net.Conn {
	return noConnection{fmt.Errorf("shoal: %w", err)} // go-redis takes off one layer
}

// noConnection is the connection that could not be had.
type noConnection struct{ err error }

func (c noConnection) Read([]byte) (int, error)         { return 0, c.err }
func (c noConnection) Write([]byte) (int, error)        { return 0, c.err }
func (c noConnection) Close() error                     { return nil }
func (c noConnection) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c noConnection) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c noConnection) SetDeadline(time.Time) error      { return nil }
func (c noConnection) SetReadDeadline(time.Time) error  { return nil }
func (c noConnection) SetWriteDeadline(time.Time) error { return nil }
