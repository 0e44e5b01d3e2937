// SPDX-License-Identifier: Apache-2.0

// Package shoaltest helps an application to test what it counts, without a
// Redis server: a registry on a store in memory, and values asserted in one
// line.
//
//	reg := shoaltest.New(t)
//	shop := NewShop(reg)
//	shop.Order("EUR")
//	if got := shoaltest.Value(t, reg, "orders_total", "currency", "EUR"); got != 1 {
//		t.Errorf("orders_total is %v, want 1", got)
//	}
//
// Several processes of one application are several registries on one [Server].
// An application that declares its metrics as package variables, on the default
// registry, calls [Connect] in TestMain, and its tests compare values before and after.
package shoaltest
