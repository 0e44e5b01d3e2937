// SPDX-License-Identifier: Apache-2.0

package wire

// keyPrefix begins all keys with the version of the protocol. The hash tag is in braces: a
// Cluster keeps the three keys of a family on one server, and the keys of an app without a
// family on another. No family's name has a slash, so no key belongs to two apps.
const keyPrefix = "shoal:1:{"

// keys builds the keys of one app. Nothing else knows how a key looks.
type keys struct {
	app string
}

// control is a hash: a family's registration and its writers' sequence numbers.
func (k keys) control(family string) string {
	return keyPrefix + k.app + "/" + family + "}:ctl"
}

// values is a hash: a family's series.
func (k keys) values(family string) string {
	return keyPrefix + k.app + "/" + family + "}:v"
}

// marks is a hash: when each series of a family began, and in which epoch it was held last.
func (k keys) marks(family string) string {
	return keyPrefix + k.app + "/" + family + "}:m"
}

// family are the keys of a family.
func (k keys) family(family string) []string {
	return []string{k.control(family), k.values(family), k.marks(family)}
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
