// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// payments is a service as it was before shoal: OpenTelemetry has its metrics.
type payments struct {
	taken   metric.Int64Counter
	amounts metric.Float64Histogram
}

func newPayments() (http.Handler, error) {
	meter := otel.Meter("payments")
	taken, err1 := meter.Int64Counter("payments.taken", metric.WithDescription("Payments taken."))
	amounts, err2 := meter.Float64Histogram("payments.amount", metric.WithDescription("Worth of a payment, in its currency."),
		metric.WithExplicitBucketBoundaries(1, 5, 10, 50, 100, 500, 1000))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p := payments{taken, amounts}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments/{method}", p.take)
	return otelhttp.NewHandler(mux, "payments"), nil
}

// methods are the values of the attribute: never let clients choose an attribute's values.
var methods = []string{"card", "transfer"}

func (p payments) take(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	amount, err := strconv.ParseFloat(r.FormValue("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(methods, method) {
		http.Error(w, "an amount by card or transfer, please", http.StatusBadRequest)
		return
	}
	by := metric.WithAttributes(attribute.String("method", method))
	p.taken.Add(r.Context(), 1, by)
	p.amounts.Record(r.Context(), amount, by)
	w.WriteHeader(http.StatusCreated)
}
