// SPDX-License-Identifier: Apache-2.0

// Package ordersdb is a driver for database/sql, so that an example has a database that all its
// processes share, and needs no server for it: a list in the example's Redis is its one table. It
// knows three statements. The driver's name is ordersdb, and its data source name is the URL of a Redis,
// a single server.
package ordersdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
)

// The table, and how long Redis keeps it after the last order.
const (
	table = "shoal-example-orders"
	keep  = time.Hour
)

var statements = map[string]func(context.Context, *redis.Client, []driver.NamedValue) (int64, error){
	"INSERT INTO orders (currency) VALUES (?)": func(ctx context.Context, c *redis.Client, args []driver.NamedValue) (int64, error) {
		pipe := c.TxPipeline()
		pipe.RPush(ctx, table, args[0].Value)
		pipe.Expire(ctx, table, keep)
		_, err := pipe.Exec(ctx)
		return 1, err
	},
	"DELETE FROM orders ORDER BY id LIMIT 1": func(ctx context.Context, c *redis.Client, _ []driver.NamedValue) (int64, error) {
		err := c.LPop(ctx, table).Err()
		if errors.Is(err, redis.Nil) {
			return 0, nil
		}
		return 1, err
	},
	"SELECT count(*) FROM orders": func(ctx context.Context, c *redis.Client, _ []driver.NamedValue) (int64, error) {
		return c.LLen(ctx, table).Result()
	},
}

func init() { sql.Register("ordersdb", ordersDriver{}) }

type ordersDriver struct{}

func (ordersDriver) Open(url string) (driver.Conn, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("ordersdb: the URL is not that of a single Redis") // err may show a password
	}
	opts.PoolSize = 1 // database/sql has a pool of its own
	return conn{redis.NewClient(opts)}, nil
}

// conn is a connection. Its three statements need no preparation and no transaction.
type conn struct{ client *redis.Client }

func (c conn) run(ctx context.Context, query string, args []driver.NamedValue) (int64, error) {
	do, ok := statements[query]
	if !ok {
		return 0, fmt.Errorf("ordersdb: no such statement: %s", query)
	}
	return do(ctx, c.client, args)
}

// ExecContext implements [driver.ExecerContext].
func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	n, err := c.run(ctx, query, args)
	return driver.RowsAffected(n), err
}

// QueryContext implements [driver.QueryerContext].
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	n, err := c.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &count{n: n}, nil
}

func (c conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("ordersdb: no prepared statements")
}
func (c conn) Begin() (driver.Tx, error) { return nil, errors.New("ordersdb: no transactions") }
func (c conn) Close() error              { return c.client.Close() }

// count is the one row of a count.
type count struct {
	n    int64
	read bool
}

func (*count) Columns() []string { return []string{"count"} }
func (*count) Close() error      { return nil }

func (r *count) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	dest[0], r.read = r.n, true
	return nil
}
