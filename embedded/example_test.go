// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"fmt"
	"log"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/embedded"
)

func ExampleStart() {
	server, err := embedded.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close() // last: the registry still needs it to close

	reg := shoal.New()
	orders := reg.NewCounter(shoal.CounterOpts{Name: "orders_total", Help: "Orders placed."})
	if err := reg.Open(server.URL(), shoal.Opts{App: "shop"}); err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = reg.Close(ctx) }()

	total, err := orders.AddSync(ctx, 2)
	fmt.Println(total, err)
	// Output: 2 <nil>
}
