// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// otherMethod stands for the methods that are neither known nor in Opts.Methods.
const otherMethod = 0

// The numbers of the methods whose answers are recorded in another way.
const (
	methodHead    = 2
	methodConnect = 7
)

// methodQuery is a method since RFC 10008; net/http has no name for it.
const methodQuery = "QUERY"

// knownMethods lists what knownMethod gives, from 1.
var knownMethods = []string{
	otherMethod:   "",
	1:             http.MethodGet,
	methodHead:    http.MethodHead,
	3:             http.MethodPost,
	4:             http.MethodPut,
	5:             http.MethodPatch,
	6:             http.MethodDelete,
	methodConnect: http.MethodConnect,
	8:             http.MethodOptions,
	9:             http.MethodTrace,
	10:            methodQuery,
}

// knownMethod is exact about case, as HTTP is: "get" is not GET, and a router
// does not take it for GET.
func knownMethod(method string) uint8 {
	switch method {
	case http.MethodGet:
		return 1
	case http.MethodHead:
		return methodHead
	case http.MethodPost:
		return 3
	case http.MethodPut:
		return 4
	case http.MethodPatch:
		return 5
	case http.MethodDelete:
		return 6
	case http.MethodConnect:
		return methodConnect
	case http.MethodOptions:
		return 8
	case http.MethodTrace:
		return 9
	case methodQuery:
		return 10
	}
	return otherMethod
}

// methods are the methods that a recorder tells apart, by their numbers.
type methods struct {
	names   []string         // by number; that of otherMethod is Names.OtherMethod
	further map[string]uint8 // the numbers of those that are not known; nil for none
}

// maxFurtherMethods keeps the numbers below 256.
const maxFurtherMethods = 240

func newMethods(further []string, other string) (m methods, err error) {
	if n := len(further); n > maxFurtherMethods {
		return m, fmt.Errorf("httpmetrics: Opts.Methods has %d methods: it may have %d", n, maxFurtherMethods)
	}
	m.names = slices.Clone(knownMethods)
	m.names[otherMethod] = other
	for i, name := range further {
		if err := checkMethod(name, other); err != nil {
			return m, fmt.Errorf("httpmetrics: Opts.Methods[%d] is %q: %w", i, name, err)
		}
		if m.number(name) != otherMethod {
			continue
		}
		if m.further == nil {
			m.further = make(map[string]uint8)
		}
		m.further[name] = uint8(len(m.names))
		m.names = append(m.names, name)
	}
	return m, nil
}

// tokenChars are the characters of a method (RFC 9110, 5.6.2), without the small
// letters.
const tokenChars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func checkMethod(name, other string) error {
	switch upper := strings.ToUpper(name); {
	case name == "":
		return fmt.Errorf("name a method, such as PROPFIND")
	case strings.Trim(upper, tokenChars) != "":
		return fmt.Errorf("a method has none but letters, digits and !#$%%&'*+-.^_`|~")
	case name != upper:
		return fmt.Errorf("methods are told apart by case, and those in use have capitals: write %q", upper)
	case name == other:
		return fmt.Errorf("that stands for all other methods: set Names.OtherMethod to something else")
	}
	return nil
}

// number is quick for the methods that nearly all requests have.
func (m *methods) number(method string) uint8 {
	n := knownMethod(method)
	if n == otherMethod && m.further != nil {
		n = m.further[method]
	}
	return n
}
