// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package hostile_test

// limitMemory does nothing: this system has no such limit.
func limitMemory(uint64) error { return nil }

// memoryPeak is not known here.
func memoryPeak() uint64 { return 0 }
