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

func codeText(number uint16) string {
	if number == otherCode {
		return "other"
	}
	return strconv.Itoa(int(number))
}
