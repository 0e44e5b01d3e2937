// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"strconv"
)

// Methods and codes come from outside, and each distinct one would be another
// series. They are narrowed to small numbers first; labels and cache keys are
// made from the numbers.

// otherMethod and otherCode stand for whatever HTTP does not define.
const (
	otherMethod = 0
	otherCode   = 0
)

// methods lists what methodNumber gives, from 1.
var methods = [...]string{
	otherMethod: "",
	1:           http.MethodGet,
	2:           http.MethodHead,
	3:           http.MethodPost,
	4:           http.MethodPut,
	5:           http.MethodPatch,
	6:           http.MethodDelete,
	7:           http.MethodConnect,
	8:           http.MethodOptions,
	9:           http.MethodTrace,
}

// methodNumber is exact about case, as HTTP is: "get" is not GET, and a router
// does not take it for GET.
func methodNumber(method string) uint8 {
	switch method {
	case http.MethodGet:
		return 1
	case http.MethodHead:
		return 2
	case http.MethodPost:
		return 3
	case http.MethodPut:
		return 4
	case http.MethodPatch:
		return 5
	case http.MethodDelete:
		return 6
	case http.MethodConnect:
		return 7
	case http.MethodOptions:
		return 8
	case http.MethodTrace:
		return 9
	}
	return otherMethod
}

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
