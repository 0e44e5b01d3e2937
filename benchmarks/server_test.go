// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// serverLoad is what a server did since it started, as INFO says.
type serverLoad struct {
	calls, micros float64 // of one command
	bytes         float64 // received
	cpu           float64 // seconds, user and system, of the whole process
}

// measureServer begins to measure the server's work for the loop of a benchmark. The function
// done ends that. It reports the time of a call of this command and of an iteration's calls, the
// processor time that the server used, and the bytes sent for each series.
func measureServer(b *testing.B, server *redistest.Server, command string, series int) (done func()) {
	b.Helper()
	client := server.Client(b)
	before := loadOf(b, client, command)
	return func() {
		b.Helper()
		after := loadOf(b, client, command)
		calls, micros := after.calls-before.calls, after.micros-before.micros
		if calls == 0 {
			b.Fatal("the server executed no " + command)
		}
		b.ReportMetric(micros*1000/calls, "server-ns/call")
		b.ReportMetric(micros*1000/float64(b.N), "server-ns/op")
		b.ReportMetric((after.cpu-before.cpu)*1e9/float64(b.N), "server-cpu-ns/op")
		b.ReportMetric((after.bytes-before.bytes)/float64(b.N)/float64(series), "sent-B/series")
	}
}

func loadOf(b *testing.B, client *redis.Client, command string) (load serverLoad) {
	b.Helper()
	info, err := client.Info(context.Background(), "commandstats", "stats", "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	var cpu float64
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "cmdstat_" + command:
			_, err = fmt.Sscanf(value, "calls=%g,usec=%g", &load.calls, &load.micros)
		case "total_net_input_bytes":
			_, err = fmt.Sscanf(value, "%g", &load.bytes)
		case "used_cpu_user", "used_cpu_sys":
			_, err = fmt.Sscanf(value, "%g", &cpu)
			load.cpu += cpu
		}
		if err != nil {
			b.Fatal(line, err)
		}
	}
	return load
}
