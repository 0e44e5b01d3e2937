// SPDX-License-Identifier: Apache-2.0

package runtimestats

// runtimeTable says which samples of package runtime/metrics add up to each number.
var runtimeTable = []struct {
	Stat
	of []string
}{
	{gauge("go_threads", "Threads of the operating system that the runtime has."), names("/sched/threads/total:threads")},
	{gauge("go_sched_gomaxprocs_threads", "GOMAXPROCS: how many threads may run Go code at the same time."), names("/sched/gomaxprocs:threads")},
	{gauge("go_gc_gogc_percent", "GOGC: how far the heap may grow until the next garbage collection."), names("/gc/gogc:percent")},
	{gauge("go_gc_gomemlimit_bytes", "GOMEMLIMIT: the runtime's soft limit of memory."), names("/gc/gomemlimit:bytes")},

	{gauge("go_memstats_alloc_bytes", "Bytes of objects in the heap, as go_memstats_heap_alloc_bytes."), names(objects)},
	{total("go_memstats_alloc_bytes_total", "Bytes of all objects that were ever allocated in the heap."), names("/gc/heap/allocs:bytes")},
	{total("go_memstats_mallocs_total", "Objects that were ever allocated in the heap."), names("/gc/heap/allocs:objects", tiny)},
	{total("go_memstats_frees_total", "Objects of the heap that were ever freed."), names("/gc/heap/frees:objects", tiny)},
	{gauge("go_memstats_sys_bytes", "Bytes that the runtime has from the operating system."), names("/memory/classes/total:bytes")},

	{gauge("go_memstats_heap_alloc_bytes", "Bytes of objects in the heap."), names(objects)},
	{gauge("go_memstats_heap_idle_bytes", "Bytes of the heap that are not in use, released ones included."), names(released, free)},
	{gauge("go_memstats_heap_inuse_bytes", "Bytes of the heap in parts that are in use."), names(objects, unused)},
	{gauge("go_memstats_heap_objects", "Objects in the heap."), names("/gc/heap/objects:objects")},
	{gauge("go_memstats_heap_released_bytes", "Bytes of the heap that were given back to the operating system."), names(released)},
	{gauge("go_memstats_heap_sys_bytes", "Bytes of the heap, whether in use, idle or released."), names(objects, unused, released, free)},
	{gauge("go_memstats_next_gc_bytes", "Size of the heap at which the next garbage collection ends."), names("/gc/heap/goal:bytes")},

	{gauge("go_memstats_stack_inuse_bytes", "Bytes of goroutines' stacks."), names(stacks)},
	{gauge("go_memstats_stack_sys_bytes", "Bytes of stacks, those of threads included."), names(stacks, "/memory/classes/os-stacks:bytes")},
	{gauge("go_memstats_mspan_inuse_bytes", "Bytes of the runtime's mspan structures in use."), names(mspan)},
	{gauge("go_memstats_mspan_sys_bytes", "Bytes reserved for the runtime's mspan structures."), names(mspan, "/memory/classes/metadata/mspan/free:bytes")},
	{gauge("go_memstats_mcache_inuse_bytes", "Bytes of the runtime's mcache structures in use."), names(mcache)},
	{gauge("go_memstats_mcache_sys_bytes", "Bytes reserved for the runtime's mcache structures."), names(mcache, "/memory/classes/metadata/mcache/free:bytes")},
	{gauge("go_memstats_buck_hash_sys_bytes", "Bytes of the profiler's table of stacks."), names("/memory/classes/profiling/buckets:bytes")},
	{gauge("go_memstats_gc_sys_bytes", "Bytes of the garbage collector's own data."), names("/memory/classes/metadata/other:bytes")},
	{gauge("go_memstats_other_sys_bytes", "Bytes that the runtime has for anything else."), names("/memory/classes/other:bytes")},
}

// What several numbers are made of.
const (
	tiny     = "/gc/heap/tiny/allocs:objects"
	objects  = "/memory/classes/heap/objects:bytes"
	unused   = "/memory/classes/heap/unused:bytes"
	released = "/memory/classes/heap/released:bytes"
	free     = "/memory/classes/heap/free:bytes"
	stacks   = "/memory/classes/heap/stacks:bytes"
	mspan    = "/memory/classes/metadata/mspan/inuse:bytes"
	mcache   = "/memory/classes/metadata/mcache/inuse:bytes"
)

// others come after those of runtimeTable, from elsewhere: what package runtime/metrics calls
// goroutines includes those of the runtime itself, and it does not say when it collected garbage.
var others = []Stat{
	gauge("go_goroutines", "Goroutines that exist."),
	gauge("go_memstats_last_gc_time_seconds", "When the last garbage collection ended, as Unix time; 0 before the first."),
}

// processTable has the numbers of the operating system, in the order of process.read. It lacks
// client_golang's process_network_receive_bytes_total and process_network_transmit_bytes_total:
// Linux counts these for a network namespace, so processes that share one would each add the
// bytes of all, and a process that starts anew on a host would add the bytes since the host did.
var processTable = []Stat{
	total("process_cpu_seconds_total", "Processor time that was used, of user and system."),
	gauge("process_virtual_memory_bytes", "Size of the virtual memory."),
	gauge("process_resident_memory_bytes", "Size of the resident memory."),
	gauge("process_start_time_seconds", "When the process started, as Unix time."),
	gauge("process_open_fds", "Open file descriptors."),
	gauge("process_max_fds", "How many file descriptors may be open."),
	gauge("process_virtual_memory_max_bytes", "How much virtual memory there may be."),
}

func gauge(name, help string) Stat { return Stat{Name: name, Help: help} }

func total(name, help string) Stat { return Stat{Name: name, Help: help, Total: true} }

func names(list ...string) []string { return list }
