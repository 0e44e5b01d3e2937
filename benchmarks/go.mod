module github.com/shoal-metrics/shoal/benchmarks

go 1.26.0

require (
	github.com/prometheus/client_golang v1.25.0
	github.com/prometheus/common v0.74.0
	github.com/redis/go-redis/v9 v9.23.0
	github.com/shoal-metrics/shoal/core v0.0.0
	github.com/shoal-metrics/shoal/core/tests v0.0.0-00010101000000-000000000000
	github.com/shoal-metrics/shoal/middleware/nethttp v0.0.0-00010101000000-000000000000
	golang.org/x/perf v0.0.0-20260908200009-22c9c6c9d4da
)

require (
	github.com/aclements/go-moremath v0.0.0-20210112150236-f10218a38794 // indirect
	github.com/alicebob/miniredis/v2 v2.40.0 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/pandatix/go-abnf v0.5.5 // indirect
	github.com/prometheus/client_model v0.6.3
	github.com/prometheus/procfs v0.23.0 // indirect
	github.com/shoal-metrics/shoal/bridge/prometheus v0.0.0
	github.com/yuin/gopher-lua v1.1.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/shoal-metrics/shoal/core => ../core
	github.com/shoal-metrics/shoal/core/tests => ../core/tests
	github.com/shoal-metrics/shoal/middleware/nethttp => ../middleware/nethttp
)

replace github.com/shoal-metrics/shoal/bridge/prometheus => ../bridge/prometheus
