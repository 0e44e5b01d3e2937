// SPDX-License-Identifier: Apache-2.0

package wire

// All keys begin with the version of the protocol. What stands in braces is
// the hash tag, so that a Cluster keeps the two keys of a family together, and
// all keys that belong to no single family. No family's name holds a slash, so
// an app's keys can't be those of another app, whatever the names of the apps.
const keyPrefix = "shoal:1:{"

// keys builds the keys of one app. Nothing else knows how a key looks.
type keys struct {
	app string
}

// control holds a family's registration and its writers' sequence numbers.
func (k keys) control(family string) string {
	return keyPrefix + k.app + "/" + family + "}:ctl"
}

// values holds a family's series.
func (k keys) values(family string) string {
	return keyPrefix + k.app + "/" + family + "}:v"
}

// families is a sorted set: names of families by when they were touched last.
func (k keys) families() string {
	return keyPrefix + k.app + "}:families"
}

// leases is a hash: who holds which index.
func (k keys) leases() string {
	return keyPrefix + k.app + "}:leases"
}

// gauges is a hash: all gauges of one writer.
func (k keys) gauges(writer string) string {
	return keyPrefix + k.app + "}:g:" + writer
}
