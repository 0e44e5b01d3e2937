// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import "strconv"

// Codes come from the application, and each distinct one would be another
// series. Like methods, they are narrowed to small numbers first; labels and
// cache keys are made from the numbers.

// otherCode stands for whatever HTTP does not define.
const otherCode = 0

func codeNumber(code int) uint16 {
	if code < 100 || code > 599 {
		return otherCode
	}
	return uint16(code)
}

// classNumber is that of the class of a code, such as 2.
func classNumber(code int) uint16 { return codeNumber(code) / 100 }

// codeText is the label of a number that codeNumber or classNumber gave.
func codeText(number uint16) string {
	switch {
	case number == otherCode:
		return "other"
	case number < 100:
		return strconv.Itoa(int(number)) + "xx"
	}
	return strconv.Itoa(int(number))
}
