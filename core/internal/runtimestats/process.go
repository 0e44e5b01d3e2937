// SPDX-License-Identifier: Apache-2.0

package runtimestats

import (
	"math"

	"github.com/prometheus/procfs"
)

// limitsEvery is how many readings share one of the limits: they hardly ever change, and
// take longer to read than all the rest.
const limitsEvery = 12

// process reads /proc.
type process struct {
	proc     procfs.Proc
	start    float64 // Unix time in seconds; NaN if it is not known
	readings int
	limits   procfs.ProcLimits
	noLimits error // why they are not known
}

// openProcess returns nil where there is no /proc as Linux has it.
func openProcess() *process {
	proc, err := procfs.Self()
	if err != nil {
		return nil
	}
	stat, err := proc.Stat()
	if err != nil {
		return nil
	}
	p := &process{proc: proc}
	if p.start, err = stat.StartTime(); err != nil {
		p.start = math.NaN()
	}
	return p
}

// read reads the numbers of processTable.
func (p *process) read(values []float64) {
	for i := range values {
		values[i] = math.NaN()
	}
	if stat, err := p.proc.Stat(); err == nil {
		values[0] = stat.CPUTime()
		values[1] = float64(stat.VirtualMemory())
		values[2] = float64(stat.ResidentMemory())
	}
	values[3] = p.start
	if n, err := p.proc.FileDescriptorsLen(); err == nil {
		values[4] = float64(n)
	}
	if p.readings%limitsEvery == 0 {
		p.limits, p.noLimits = p.proc.Limits()
	}
	p.readings++
	if p.noLimits == nil {
		values[5] = float64(p.limits.OpenFiles)
		values[6] = float64(p.limits.AddressSpace)
	}
}
