// SPDX-License-Identifier: Apache-2.0

// Package anyredis finds the Redis of an example, or starts an embedded one.
package anyredis

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/shoal-metrics/shoal/embedded"
)

// Variable is the environment variable that has the URL. A URL with a password belongs
// there: everybody on the machine can read the arguments of a process.
const Variable = "REDIS_URL"

// Flag declares the flag -redis.
func Flag() *string {
	return flag.String("redis", "", "`URL` of a Redis; defaults to $"+Variable+", where a password belongs, and without that to an embedded Redis")
}

// URL returns the value of the flag, or of the environment variable if the flag is empty.
// Both may be.
func URL(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(Variable)
}

// Open returns [URL], or that of an embedded Redis if it is empty. Call stop last, which
// ends the embedded one: registries need Redis to close.
func Open(flag string) (url string, stop func(), err error) {
	if url = URL(flag); url != "" {
		return url, func() {}, nil
	}
	server, err := embedded.Start("")
	if err != nil {
		return "", nil, fmt.Errorf("neither -redis nor %s was given: %w", Variable, err)
	}
	return server.URL(), server.Close, nil
}

// Environment is the environment for a child process, with the URL in it.
func Environment(redis string) []string {
	return append(os.Environ(), Variable+"="+redis)
}

// Shown is the URL for a log: without user, password and parameters. If a password was not
// escaped, a part of it may stand anywhere: of such a URL nothing is shown.
func Shown(redis string) string {
	u, err := url.Parse(redis)
	if err != nil || u.Fragment != "" || strings.Contains(u.Opaque+u.Path+u.RawQuery, "@") {
		return "Redis"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
