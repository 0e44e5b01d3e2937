// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// What the bridge example sends to each of its two shops and two payments by itself.
const bridgeSends = 10

// bridges is the bridge example, which has sent its own requests.
type bridges struct {
	*program
	shops, payments []string
	pids            map[string]int // by address
}

var bridgeProcess = regexp.MustCompile(`process (\d+): \w+ on http://(\S+)`)

func startBridges(t *testing.T) *bridges {
	t.Helper()
	b := &bridges{pids: map[string]int{}}
	for range 2 {
		b.shops = append(b.shops, redistest.FreeAddr(t))
		b.payments = append(b.payments, redistest.FreeAddr(t))
	}
	b.program = start(t, "bridge", "-shops", strings.Join(b.shops, ","), "-payments", strings.Join(b.payments, ","))
	testkit.Eventually(t, func() error {
		if len(b.out.Of("Ctrl-C ends all")) == 0 {
			return errors.New("it has not shown the page")
		}
		return nil
	})
	for _, m := range bridgeProcess.FindAllStringSubmatch(b.out.String(), -1) {
		pid, err := strconv.Atoi(m[1])
		testkit.Must(t, err)
		b.pids[m[2]] = pid
	}
	if len(b.pids) != 4 {
		t.Fatalf("it has started %v, want four processes", b.pids)
	}
	return b
}

// The two applications are as they were before shoal: only main.go, which bridges them, knows it.
func TestBridge_TheApplicationsDoNotImportShoal(t *testing.T) {
	t.Parallel()
	for file, client := range map[string]string{"shop.go": "client_golang", "payments.go": "go.opentelemetry.io"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "bridge", file)) // in this repository
		testkit.Must(t, err)
		if !strings.Contains(string(text), client) || strings.Contains(string(text), "shoal-metrics/") {
			t.Errorf("%s imports shoal, or does not import %s", file, client)
		}
	}
}

func TestBridge_PrintsLinesWithTheSumsOfAllProcesses(t *testing.T) {
	t.Parallel()
	b := startBridges(t)
	lines := strings.Split(b.out.String(), "\n")
	for _, want := range []string{
		`shop_orders_total{currency="EUR"} 20`, `payments_taken_total{method="card",otel_scope_name="payments"} 20`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("it does not print %s", want)
		}
	}
	if refused := b.out.Of("refused"); len(refused) > 0 {
		t.Errorf("it complains: %q", refused)
	}
}

func TestBridge_EachOfTheFourHasTheSumsOfAll(t *testing.T) {
	t.Parallel()
	b := startBridges(t)
	for i := range b.shops {
		request(t, 5+i, "POST", b.shops[i], "/orders/USD?amount=7", http.StatusCreated)
		request(t, 1, "POST", b.shops[i], "/orders/XYZ?amount=7", http.StatusBadRequest)
		request(t, 7+i, "POST", b.payments[i], "/payments/transfer?amount=7", http.StatusCreated)
		request(t, 1, "POST", b.payments[i], "/payments/shells?amount=7", http.StatusBadRequest)
	}
	for addr := range b.pids {
		says(t, addr, 11, "shop_orders_total", "currency=USD")
		says(t, addr, 2*bridgeSends, "shop_orders_total", "currency=EUR")
		says(t, addr, 11, "shop_order_amount", "currency=USD")
		says(t, addr, 15, "payments_taken_total", "method=transfer")
		says(t, addr, 15, "payments_amount", "method=transfer")
		says(t, addr, 2*bridgeSends+15, "http_server_request_duration_seconds", "http_route=/payments/{method}", "http_response_status_code=201")
		says(t, addr, 2, "http_server_request_duration_seconds", "http_response_status_code=400")
		says(t, addr, bridgeSends+11, "shop_orders_waiting")
		testkit.Check(t, sum(t, addr, 0, "shoal_source_failures_total", "reason=refused"))
	}
	p, err := scrape(t, b.payments[0])
	testkit.Must(t, err)
	p.WantSamples(t, "shop_orders_waiting", 1)        // of all processes, which read one table
	p.WantSamples(t, "go_sql_open_connections", 1)    // the sum
	p.WantSamples(t, "go_goroutines", 2)              // one for each shop
	if n := p.Sum("go_sql_open_connections"); n < 2 { // each shop has one at least
		t.Errorf("%v connections are open", n)
	}
	for _, series := range p.Labels("http_server_request_duration_seconds") {
		if slices.ContainsFunc(series, func(l string) bool { return strings.HasPrefix(l, "server_") }) {
			t.Errorf("the processes have series of their own: %v", series)
		}
	}
}

// What was imported before kill -9 stays, and the others go on.
func TestBridge_AProcessThatIsKilledLeavesWhatItHadOnThePage(t *testing.T) {
	t.Parallel()
	b := startBridges(t)
	request(t, 5, "POST", b.shops[0], "/orders/USD?amount=7", http.StatusCreated)
	request(t, 5, "POST", b.payments[0], "/payments/transfer?amount=7", http.StatusCreated)
	says(t, b.payments[1], 5, "shop_orders_total", "currency=USD")
	says(t, b.payments[1], 5, "payments_taken_total", "method=transfer")
	for _, addr := range []string{b.shops[0], b.payments[0]} {
		testkit.Must(t, syscall.Kill(b.pids[addr], syscall.SIGKILL))
		b.stopsListening(addr)
	}
	request(t, 3, "POST", b.shops[1], "/orders/USD?amount=7", http.StatusCreated)
	request(t, 3, "POST", b.payments[1], "/payments/transfer?amount=7", http.StatusCreated)
	for _, addr := range []string{b.shops[1], b.payments[1]} {
		says(t, addr, 8, "shop_orders_total", "currency=USD")
		says(t, addr, 8, "payments_taken_total", "method=transfer")
		says(t, addr, bridgeSends+8, "shop_orders_waiting")
	}
	testkit.Eventually(t, func() error { // two lines may come in one piece, and later than the answers
		if n := strings.Count(b.out.String(), "the others go on"); n != 2 {
			return fmt.Errorf("of two that were killed it says %q", b.out.Of("the others go on"))
		}
		return nil
	})
}

func TestBridge_LeavesNoProcessBehind(t *testing.T) {
	t.Parallel()
	b := startBridges(t)
	b.terminate()
	for addr, pid := range b.pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
		if _, err := scrape(t, addr); err == nil {
			t.Errorf("%s still serves", addr)
		}
	}
}
