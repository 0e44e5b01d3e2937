// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
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
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := a.obey(lines.Text(), page.URL)
		if err != nil {
			answer = "error: " + err.Error()
		}
		_, _ = fmt.Fprintln(out, answer)
	}
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

// replica is a process that the test started from its own binary.
type replica struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	err  bytes.Buffer // its standard error; read it only after the process has ended
	page string       // the URL of its page
}

// start starts a replica. It ends with the test at the latest.
func start(t testing.TB, config replicaConfig) *replica {
	t.Helper()
	text, err := json.Marshal(config)
	testkit.Must(t, err)
	self, err := os.Executable()
	testkit.Must(t, err)
	r := &replica{t: t, cmd: exec.Command(self)}
	r.cmd.Env = append(os.Environ(), replicaEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	r.cmd.Stderr = &r.err
	r.in, err = r.cmd.StdinPipe()
	testkit.Must(t, err)
	out, err := r.cmd.StdoutPipe()
	testkit.Must(t, err)
	r.out = bufio.NewReader(out)
	testkit.Must(t, r.cmd.Start())
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the replica says:\n%.2000s", r.err.String())
		}
	})
	r.page = r.tell("page")
	return r
}

// tell sends the replica one line and returns its answer.
func (r *replica) tell(line string) string {
	r.t.Helper()
	if _, err := fmt.Fprintln(r.in, line); err != nil {
		r.t.Fatalf("replica, %s: %v", line, err)
	}
	answer, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("replica, %s: %v", line, err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	if strings.HasPrefix(answer, "error: ") {
		r.t.Fatalf("replica, %s: %s", line, answer)
	}
	return answer
}

// count counts jobs, and returns how many the replica has counted.
func (r *replica) count(n int) int {
	r.t.Helper()
	total, err := strconv.Atoi(r.tell("count " + strconv.Itoa(n)))
	testkit.Must(r.t, err)
	return total
}

// stop lets the replica shut its provider down and close its registry.
func (r *replica) stop() {
	r.t.Helper()
	_ = r.in.Close()
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("the replica ended with %v", err)
	}
}

// kill ends the replica at once, as kill -9 does. Twice is harmless.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}
