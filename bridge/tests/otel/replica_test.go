// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	shoalotel "github.com/shoal-metrics/shoal/bridge/otel"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// replicaEnv makes this binary a replica; its value is a replicaConfig.
const replicaEnv = "SHOAL_TEST_OTEL_REPLICA"

type replicaConfig struct {
	URL, App string
	Period   time.Duration
	Pushed   bool // by a PeriodicReader and an Exporter, in place of a Reader
}

// replicaMain is the main function of a replica: the application, and the few lines that bring
// its metrics to shoal. It does what each line of in says, and answers it.
func replicaMain(config string, in io.Reader, out io.Writer) int {
	var c replicaConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		log.Print(err)
		return 1
	}
	reg := shoal.New()
	if err := reg.Open(c.URL, shoal.Opts{App: c.App}); err != nil {
		log.Print(err)
		return 1
	}
	reader, err := readerFor(reg, c)
	if err != nil {
		log.Print(err)
		return 1
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(resourceOf(strconv.Itoa(os.Getpid()))), sdkmetric.WithReader(reader))
	a, err := newApp(provider)
	if err != nil {
		log.Print(err)
		return 1
	}
	page := httptest.NewServer(reg.Handler(shoal.HandlerOpts{}))
	testkit.Obey(in, out, func(line string) (string, error) { return a.obey(line, page.URL) })
	a.close()
	page.Close()
	for _, err := range []error{provider.Shutdown(context.Background()), reg.Close(context.Background())} {
		if err != nil {
			log.Print(err)
			return 1
		}
	}
	return 0
}

func readerFor(reg *shoal.Registry, c replicaConfig) (sdkmetric.Reader, error) {
	if !c.Pushed {
		return shoalotel.NewReader(reg, shoalotel.Opts{Period: c.Period})
	}
	e, err := shoalotel.NewExporter(reg, shoalotel.Opts{})
	return sdkmetric.NewPeriodicReader(e, sdkmetric.WithInterval(c.Period)), err
}

func (a *app) obey(line, page string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	n, _ := strconv.Atoi(rest)
	switch word {
	case "page":
		return page, nil
	case "work":
		return "done", a.work(context.Background(), n)
	case "count": // answers what it has counted so far
		a.jobs.Add(context.Background(), int64(n))
		a.counted += int64(n)
		return strconv.FormatInt(a.counted, 10), nil
	}
	return "", fmt.Errorf("unknown word %q", word)
}

// replica is a process that the test started.
type replica struct {
	*testkit.Child
	t    testing.TB
	page string // the URL of its page
}

func start(t testing.TB, config replicaConfig) *replica {
	t.Helper()
	r := &replica{t: t, Child: testkit.StartChild(t, replicaEnv, config)}
	r.page = r.Tell("page")
	return r
}

// count counts jobs, and returns how many the replica has counted.
func (r *replica) count(n int) int {
	r.t.Helper()
	total, err := strconv.Atoi(r.Tell("count " + strconv.Itoa(n)))
	testkit.Must(r.t, err)
	return total
}
