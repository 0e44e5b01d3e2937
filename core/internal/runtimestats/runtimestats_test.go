// SPDX-License-Identifier: Apache-2.0

package runtimestats

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// reading is what a reader reads, by name.
func reading(r *Reader) map[string]float64 {
	values := make([]float64, len(r.Stats()))
	r.Read(values)
	got := map[string]float64{}
	for i, stat := range r.Stats() {
		got[stat.Name] = values[i]
	}
	return got
}

func TestReader_ReadsEveryNumber(t *testing.T) {
	for name, v := range reading(New()) {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestReader_GoroutinesAreThoseThatExist(t *testing.T) {
	r, release := New(), make(chan struct{})
	const more = 100
	ended := make(chan struct{})
	for range more {
		go func() { <-release; ended <- struct{}{} }()
	}
	// Goroutines of others may end meanwhile: then the runtime does not say the same twice.
	got, says := 0., 0
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); {
		says = runtime.NumGoroutine()
		if got = reading(r)["go_goroutines"]; says == runtime.NumGoroutine() {
			break
		}
	}
	if got != float64(says) || got < more {
		t.Errorf("%v goroutines beside %d more; the runtime says %d", got, more, says)
	}
	close(release)
	for range more {
		<-ended
	}
}

func TestReader_CountsGarbageCollections(t *testing.T) {
	r := New()
	before := reading(r)
	n, seconds := r.Pauses()
	from := time.Now()
	runtime.GC()
	after := reading(r)
	more, longer := r.Pauses()
	if more <= n || longer <= seconds {
		t.Errorf("%d pauses of %v s, and after a collection %d of %v s", n, seconds, more, longer)
	}
	if at := after["go_memstats_last_gc_time_seconds"]; at < float64(from.UnixNano())/1e9-.1 || at > float64(time.Now().UnixNano())/1e9+.1 {
		t.Errorf("the last collection was at %f, now it is %d", at, time.Now().Unix())
	}
	if before["go_memstats_frees_total"] > after["go_memstats_frees_total"] {
		t.Error("the total of freed objects fell")
	}
}

func TestReader_TheHeapGrowsByWhatIsAllocated(t *testing.T) {
	r := New()
	before := reading(r)
	const size = 64 << 20
	held := make([]byte, size)
	after := reading(r)
	for _, name := range []string{"go_memstats_alloc_bytes_total", "go_memstats_heap_alloc_bytes", "go_memstats_heap_inuse_bytes"} {
		if grown := after[name] - before[name]; grown < size*.9 || grown > size*1.1 {
			t.Errorf("%s grew by %v with an allocation of %d", name, grown, size)
		}
	}
	runtime.KeepAlive(held)
}

func TestReader_TellsOfTheProcess(t *testing.T) {
	r := New()
	if r.process == nil {
		t.Skip("no /proc on this system")
	}
	before := reading(r)
	const files = 20
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	after := reading(r)
	if more := after["process_open_fds"] - before["process_open_fds"]; more != files {
		t.Errorf("%v more descriptors with %d more files", more, files)
	}
	if after["process_max_fds"] <= after["process_open_fds"] {
		t.Errorf("%v descriptors are open, %v may be", after["process_open_fds"], after["process_max_fds"])
	}
	if age := float64(time.Now().UnixNano())/1e9 - after["process_start_time_seconds"]; age < -2 || age > 3600 {
		t.Errorf("the process began %v s ago", age)
	}
	if rss, all := after["process_resident_memory_bytes"], after["process_virtual_memory_bytes"]; rss < 1<<20 || all < rss {
		t.Errorf("%v bytes of memory, %v of them resident", all, rss)
	}
}

func TestReader_ProcessorTimeGrowsWithWork(t *testing.T) {
	r := New()
	if r.process == nil {
		t.Skip("no /proc on this system")
	}
	const name = "process_cpu_seconds_total"
	begin, before := time.Now(), reading(r)[name]
	for reading(r)[name] == before { // Linux counts in hundredths of a second
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("still %v s of processor time after 10 s of work", before)
		}
	}
}

func TestReader_AllocatesOnlyForProc(t *testing.T) {
	r := New()
	r.process = nil
	values := make([]float64, len(r.Stats()))
	if n := testing.AllocsPerRun(100, func() { r.Read(values) }); n != 0 {
		t.Errorf("%v allocations a reading of the runtime", n)
	}
}

func BenchmarkRead(b *testing.B) {
	r := New()
	values := make([]float64, len(r.Stats()))
	for _, proc := range []string{"with proc", "without"} {
		b.Run(proc, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Read(values)
			}
		})
		r.process = nil
	}
}
