// SPDX-License-Identifier: Apache-2.0

// Package anyredis finds the Redis of an example, and lets it run without one at
// hand.
package anyredis

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/shoal-metrics/shoal/embedded"
)

// Variable is the environment variable that has the URL. It belongs there:
// anybody on the machine can read the arguments of a process, and with them the
// password.
const Variable = "REDIS_URL"

// URL returns the value of the flag, or of the environment variable if that is
// empty. It may be empty too.
func URL(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(Variable)
}

// Open returns what [URL] does, or the URL of an embedded Redis if that is
// empty, and what ends it. Call stop last: registries need Redis to close.
func Open(flag string) (used string, stop func(), err error) {
	if used = URL(flag); used != "" {
		return used, func() {}, nil
	}
	server, err := embedded.Start("")
	if err != nil {
		return "", nil, fmt.Errorf("neither -redis nor %s was given: %w", Variable, err)
	}
	return server.URL(), server.Close, nil
}

// Environment is this process's for a child, with the URL in it.
func Environment(redis string) []string {
	return append(os.Environ(), Variable+"="+redis)
}

// Shown is the URL for a log: without user, password and parameters. Where a
// password was not escaped, its rest may stand anywhere: then nothing is shown.
func Shown(redis string) string {
	u, err := url.Parse(redis)
	if err != nil || u.Fragment != "" || strings.Contains(u.Opaque+u.Path+u.RawQuery, "@") {
		return "Redis"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
