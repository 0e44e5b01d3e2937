module github.com/shoal-metrics/shoal/examples

go 1.26.0

replace (
	github.com/shoal-metrics/shoal/core => ../core
	github.com/shoal-metrics/shoal/embedded => ../embedded
)
