// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Silence is the [Trouble] when no server answers.
const Silence = "silence"

// Trouble names what is wrong with Redis as a whole: the code of a refusal, or [Silence].
// Errors of the same name have the same cause. The name is empty for errors that concern
// one family, and for those that are not Redis's.
func Trouble(err error) string {
	switch code := ReplyCode(err); code {
	case "": // no refusal
	case "WRONGTYPE":
		return ""
	case "ERR", "an error":
		var hinted hintedError
		if errors.As(err, &hinted) || momentary(err) {
			return code
		}
		return ""
	default:
		return code
	}
	var (
		unsent  unsentError
		doubt   doubtfulError // of a redirection
		network net.Error
		errno   syscall.Errno
	)
	if errors.As(err, &unsent) || errors.As(err, &doubt) || errors.As(err, &network) || errors.As(err, &errno) ||
		HandshakeFailed(err) || PoolTaken(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, redis.ErrClosed) {
		return Silence
	}
	return ""
}

// maxCauses bounds how many causes one error names.
const maxCauses = 10

// Causes gathers the errors of many families into one that names each cause once, up to
// maxCauses of them. The zero value is empty.
type Causes struct {
	list []cause
	more int // errors of further causes
}

type cause struct {
	key    string
	what   string // what failed first for this cause
	err    error
	others int // how many others failed for it
}

// Add notes that what failed with err.
func (c *Causes) Add(what string, err error) {
	key := Trouble(err)
	if key == "" {
		key = err.Error()
	}
	for i := range c.list {
		if c.list[i].key == key {
			c.list[i].others++
			return
		}
	}
	if len(c.list) == maxCauses {
		c.more++
		return
	}
	c.list = append(c.list, cause{key: key, what: what, err: err})
}

// Err returns all causes as one error, which takes one line, or nil.
func (c *Causes) Err() error {
	var errs []error
	for _, e := range c.list {
		what := e.what
		if e.others > 0 {
			what = fmt.Sprintf("%s and %d others", what, e.others)
		}
		errs = append(errs, fmt.Errorf("%s: %w", what, e.err))
	}
	if c.more > 0 {
		errs = append(errs, fmt.Errorf("%d more errors of other causes", c.more))
	}
	return Join(errs...)
}

// Join is [errors.Join] on one line. Of many errors it shows the first.
func Join(errs ...error) error {
	var list joined
	for _, err := range errs {
		if err != nil {
			list = append(list, err)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

type joined []error

func (j joined) Error() string {
	var texts []string
	for size := 0; len(texts) < len(j) && size < maxLine/2; size += len(texts[len(texts)-1]) {
		texts = append(texts, j[len(texts)].Error())
	}
	if more := len(j) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more errors", more))
	}
	return strings.Join(texts, "; ")
}

func (j joined) Unwrap() []error { return j }
