// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/guard"
)

// dialer makes a connection to a server when a client needs one.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// guardedDialer dials as go-redis does, and guards what comes over the connection.
//
// It never returns an error: a failed dial gives a connection whose first use fails.
// For each error of a dialer go-redis would write a line to its global logger, as long
// as Redis is away, and after some it would dial only once a second. shoal reports the
// failure itself.
func guardedDialer(o *redis.Options, limits *guard.Limits) dialer {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return failedDial(err), nil
		}
		return guard.New(conn, addr, limits, nil), nil
	}
}

// failedDial returns the connection of a dial that failed with err.
func failedDial(err error) net.Conn {
	return failedConn{fmt.Errorf("%w", err)} // go-redis unwraps it once
}

// failedConn fails at its first use.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c failedConn) SetDeadline(time.Time) error      { return nil }
func (c failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c failedConn) SetWriteDeadline(time.Time) error { return nil }
