// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// rng draws hostile contents.
type rng struct {
	*rand.Rand
	huge bool // texts may have megabytes
}

// roll returns an rng for one purpose, so that what it draws does not depend on what was
// drawn before.
func roll(seed, round, thing uint64) rng {
	d := rng{Rand: rand.New(rand.NewPCG(seed, round<<32|thing))}
	d.huge = d.one(2000)
	return d
}

// one says yes once in n times.
func (d rng) one(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d rng, list ...T) T { return list[d.IntN(len(list))] }

// times draws a number of things, mostly a small one.
func (d rng) times() int {
	switch n := d.IntN(1000); {
	case n < 800:
		return 1 + d.IntN(3)
	case n < 980:
		return 1 + d.IntN(30)
	case n < 999:
		return 1 + d.IntN(500)
	}
	return 1 + d.IntN(5000)
}

// length draws the length of a text in bytes, mostly within the limits of the protocol.
func (d rng) length() int {
	switch n := d.IntN(1000); {
	case d.huge:
		return 5 << 20
	case n < 700:
		return d.IntN(20)
	case n < 950:
		return d.IntN(300)
	case n < 990:
		return d.IntN(5000)
	case n < 998:
		return 60_000 + d.IntN(10_000)
	}
	return d.IntN(300_000)
}

// bytesOfNote have a meaning in the protocol, on a page, in a terminal or in a log.
var bytesOfNote = []string{
	"\xff", "\xfe", "\xfd", "\xfc", "\x00", "\n", "\r", "\t", " ", ":", "=", ",", "{", "}", "\"", "\\", "#", "%", "/", "-", "+", ".",
	"\x1b[2J\x1b[31m", "\x1b]0;x\x07", "\u202e", "\u2028", "\u0085", "\xc3\x28", "\xed\xa0\x80", "é", "\U0001f41f", "{app}", "%s%n", "%2", "?",
}

// text draws a hostile text.
func (d rng) text() string {
	n := d.length()
	switch d.IntN(16) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(" ", 1+n)
	case 2:
		return strings.Repeat("a", 1+n)
	case 3:
		return strings.Repeat(pick(d, "0", "1", "9"), 1+n)
	case 4:
		return strings.Repeat(":", 1+n)
	case 5:
		return strings.Repeat(pick(d, "a:", ":a ", "a:1 ", "1 ", "a b", "-", "+", "e", "1e", "%2", "\xff", "a\xff", "i:0 "), 1+n/3)
	case 6, 7:
		return d.number()
	case 8:
		return pick(d, bytesOfNote...)
	case 9:
		return d.noise(min(n, 4000))
	case 10:
		return d.word() + pick(d, bytesOfNote...) + d.word()
	case 11:
		return strings.Repeat(pick(d, bytesOfNote...), 1+n/4)
	case 12:
		return d.number() + " " + d.number()
	case 13:
		return "\n2026-01-01 ERROR shoal: \x1b[31mforged\x1b[0m " + d.word()
	default:
		return d.word()
	}
}

func (d rng) noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return string(b)
}

// word draws a short harmless text.
func (d rng) word() string {
	return pick(d, "a", "b", "x", "shop", "node-1", "le", "quantile", "count", "sum", "gauge_index", "__name__", "__x", "shoal_overflow",
		"counter", "gauge", "histogram", "summary", "latest", "total", "w", "lineage", "-", strconv.FormatUint(d.Uint64(), 36))
}

// edges are numbers at the limits of some type. They are texts, since the protocol has no such numbers.
var edges = []string{
	"0", "-0", "1", "-1", "+1", "01", "007", "1.", ".5", "1.5", "-2.5", "1e5", "1E-5", "1e308", "-1e308", "1.7976931348623157e308", "1e309",
	"1e999", "5e-324", "1e-400", "nan", "NaN", "-nan", "inf", "Inf", "+Inf", "-Inf", "infinity", "0x10", "0x1p4", "0b1", "1_000", "1,5",
	"2147483647", "2147483648", "4294967296", "-2147483649", "9007199254740991", "9007199254740992", "9007199254740993",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
	"99999999999999999999", "100000000000000000000", "123456789012345678901234567890", "00000000000000000001",
	"--1", "1e", "e1", ".", "-", "+", "1 ", " 1", "1\n", "1\x00", "１", "٣",
}

// number draws a number, or a text that is nearly one.
func (d rng) number() string {
	switch d.IntN(8) {
	case 0:
		return strconv.FormatFloat(math.Float64frombits(d.Uint64()), 'g', -1, 64)
	case 1:
		return strconv.FormatInt(int64(d.Uint64()), 10)
	case 2:
		return strconv.Itoa(d.IntN(1000))
	case 3:
		return pick(d, "", "-", "+", "0") + strings.Repeat(pick(d, "1", "9", "0"), 1+d.IntN(400))
	}
	return pick(d, edges...)
}

// moment draws a time in units since 1970, mostly near the present.
func (d rng) moment(unit time.Duration) string {
	now := time.Now().UnixNano() / int64(unit)
	year := int64(365 * 24 * time.Hour / unit)
	switch d.IntN(6) {
	case 0:
		return d.number()
	case 1:
		return strconv.FormatInt(now-d.Int64N(year), 10)
	case 2:
		return strconv.FormatInt(now+d.Int64N(year), 10)
	case 3:
		return strconv.FormatInt(now+year*int64(1+d.IntN(100)), 10)
	}
	return strconv.FormatInt(now+int64(pick(d, -time.Second, time.Second, time.Minute)/unit), 10)
}

// spoilt returns a text with a small error, or another text in its place.
func (d rng) spoilt(honest string) string {
	b := []byte(honest)
	if len(b) == 0 {
		return d.text()
	}
	at := d.IntN(len(b))
	switch d.IntN(10) {
	case 0:
		b[at] ^= 1 << d.IntN(8)
	case 1:
		b = b[:at]
	case 2:
		return honest + honest
	case 3:
		return honest + " " + honest
	case 4:
		return honest[:at] + pick(d, bytesOfNote...) + honest[at:]
	case 5:
		return honest[:at] + d.number() + honest[at:]
	case 6: // one of its words
		words := strings.Split(honest, " ")
		words[d.IntN(len(words))] = pick(d, d.number(), d.text(), "")
		return strings.Join(words, " ")
	case 7:
		words := strings.Split(honest, " ")
		d.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		return strings.Join(words, " ")
	case 8:
		return strings.Repeat(honest+" ", 1+d.length()/(1+len(honest)))
	default:
		return d.text()
	}
	return string(b)
}
