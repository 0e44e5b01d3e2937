// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// stream is a connection over which a server sends something, in pieces.
type stream struct {
	net.Conn

	rest string
	size func() int // of the next piece
}

func (s *stream) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.size(), len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) { return len(p), nil }
func (s *stream) Close() error                { return nil }

// read reads all that passes of what a server sends, in pieces, by buffers.
func read(said string, limits *Limits, piece, buffer func() int) (string, error) {
	conn := New(&stream{rest: said, size: piece}, "redis:6379", limits, nil)
	var passed strings.Builder
	p := make([]byte, 32<<10)
	for {
		n, err := conn.Read(p[:buffer()])
		passed.Write(p[:n])
		switch {
		case err == io.EOF:
			return passed.String(), nil
		case err != nil:
			return passed.String(), err
		}
	}
}

func always(n int) func() int { return func() int { return n } }

// ways are those in which what a server sends may be cut into pieces, and read.
var ways = []struct {
	name          string
	piece, buffer func() int
}{
	{"at once", always(1 << 30), always(32 << 10)},
	{"byte for byte", always(1), always(32 << 10)},
	{"by buffers of one byte", always(1 << 30), always(1)},
	{"in odd pieces", func() int { return 1 + rand.IntN(40) }, func() int { return 1 + rand.IntN(3000) }},
}

const (
	many    = 100_000
	million = 1_000_000
)

func TestConn_LetsHonestRepliesPassAsTheyAre(t *testing.T) {
	for name, said := range map[string]string{
		"a status":    "+OK\r\n",
		"an error":    "-ERR no\r\n",
		"numbers":     ":1\r\n:-42\r\n,3.25\r\n(12345678901234567890\r\n#t\r\n_\r\n",
		"texts":       "$5\r\nhello\r\n$0\r\n\r\n$-1\r\n=9\r\ntxt:hello\r\n$2\r\n\r\n\r\n",
		"lists":       "*2\r\n$1\r\na\r\n*-1\r\n*0\r\n*1\r\n*2\r\n:1\r\n%1\r\n+k\r\n~1\r\n_\r\n+OK\r\n",
		"a page":      "*500\r\n" + strings.Repeat("$4\r\n1234\r\n", 500) + "$3\r\nend\r\n",
		"long ones":   "*2\r\n$65536\r\n" + strings.Repeat("v", 65536) + "\r\n$1\r\nx\r\n",
		"a long INFO": "$1048576\r\n" + strings.Repeat("i", 1<<20) + "\r\n+OK\r\n",
		"a long line": "-" + strings.Repeat("e", 60_000) + "\r\n:1\r\n",
		"a head":      fmt.Sprintf("*%d\r\n", 60_000) + strings.Repeat("$3\r\nabc\r\n", 60_000),
		"depth":       strings.Repeat("*1\r\n", maxDepth) + ":1\r\n+OK\r\n",
	} {
		for _, w := range ways {
			if passed, err := read(said, &Limits{}, w.piece, w.buffer); passed != said || err != nil {
				t.Errorf("%s, %s: %d of %d bytes passed: %v", name, w.name, len(passed), len(said), err)
			}
		}
	}
}

const byteText = overlong + "\r\n"

func TestConn_PutsOneByteInPlaceOfALongText(t *testing.T) {
	long := func(kind string, n int) string {
		return fmt.Sprintf("%s%d\r\n%s\r\n", kind, n, strings.Repeat("*", n)) // read as heads, these would be refused
	}
	for name, tt := range map[string]struct{ said, want string }{
		"in a list": {"*3\r\n$1\r\na\r\n" + long("$", 65537) + "$1\r\nb\r\n+OK\r\n", "*3\r\n$1\r\na\r\n" + byteText + "$1\r\nb\r\n+OK\r\n"},
		"two":       {"*2\r\n" + long("$", 100_000) + long("=", 70_000) + ":1\r\n", "*2\r\n" + byteText + byteText + ":1\r\n"},
		"alone":     {long("$", 1<<20+1) + "+OK\r\n", byteText + "+OK\r\n"},
		"verbatim":  {long("=", 2<<20) + "+OK\r\n", byteText + "+OK\r\n"},
	} {
		for _, w := range ways {
			if passed, err := read(tt.said, &Limits{}, w.piece, w.buffer); passed != tt.want || err != nil {
				t.Errorf("%s, %s: %d bytes passed: %.80q: %v", name, w.name, len(passed), passed, err)
			}
		}
	}
}

func TestConn_RefusesWhatNoRedisSays(t *testing.T) {
	for name, tt := range map[string]struct{ said, why string }{
		"a long list":          {"*1000000000\r\n", "a list of 1000000000 elements"},
		"a long map":           {"%9999999\r\n", "a list of 19999998 elements"},
		"a long set":           {"~99999999\r\n", "a list of 99999999 elements"},
		"lists in lists":       {"*1500000\r\n*1500000\r\n", "a list of 1500000 elements"},
		"a long text":          {"$999999999999\r\n", "a text of 999999999999 bytes"},
		"a long text inside":   {"*1\r\n$536870913\r\n", "a text of 536870913 bytes"},
		"a length out of int":  {"$9223372036854775808\r\n", "no number"},
		"a negative length":    {"*-2\r\n", "no number"},
		"a length with a sign": {"$+5\r\nhello\r\n", "no number"},
		"a streamed text":      {"$?\r\n;4\r\nabcd\r\n;0\r\n", "no number"},
		"no length":            {"*\r\n", "no number"},
		"depth":                {strings.Repeat("*1\r\n", many), "nested deeper"},
		"depth of maps":        {strings.Repeat("%1\r\n+k\r\n", many), "nested deeper"},
		"an endless error":     {"-" + strings.Repeat("e", many), "more than 65536 bytes"},
		"an endless number":    {":" + strings.Repeat("1", many), "more than 512 bytes"},
		"an endless bignum":    {"*1\r\n(" + strings.Repeat("1", many), "more than 512 bytes"},
		"endless attributes":   {strings.Repeat("|1\r\n+k\r\n+v\r\n", many), "nobody asked"},
		"endless pushes":       {strings.Repeat(">1\r\n+p\r\n", many), "nobody asked"},
		"a push in a list":     {"*1\r\n>1\r\n+p\r\n", "nobody asked"},
		"a long error":         {"!1000000000\r\n", "nobody asked"},
		"a line without its r": {"+OK\n", "does not end"},
		"an HTTP server":       {"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP"},
		"a TLS server":         {"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"},
		"another server":       {"SSH-2.0-OpenSSH\r\n", "does not speak Redis's protocol"},
	} {
		for _, w := range ways[:3] {
			limits := &Limits{}
			begun := time.Now()
			passed, err := read(tt.said, limits, w.piece, w.buffer)
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Addr != "redis:6379" || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%s, %s: the error is %v", name, w.name, err)
			}
			if strings.Contains(err.Error(), "eee") || len(passed) > 100_000 {
				t.Errorf("%s, %s: %d bytes passed, in %v", name, w.name, len(passed), time.Since(begun))
			}
		}
	}
}

// A page omits damaged texts, however many: they are no reason to read nothing at all.
func TestConn_LetsOnlyShortTextsPassWhereAllAreTooMuch(t *testing.T) {
	limits := &Limits{}
	const others = fewTexts - million
	limits.taken.Add(others) // by other connections
	text := fmt.Sprintf("$%d\r\n%s\r\n", maxText, strings.Repeat("v", maxText))
	n := 10 * million / maxText
	said := fmt.Sprintf("*%d\r\n%s$3\r\nend\r\n", n+1, strings.Repeat(text, n))
	conn := New(&stream{rest: said, size: always(32 << 10)}, "", limits, nil)
	var passed int
	var end string
	for p := make([]byte, 32<<10); ; {
		n, err := conn.Read(p)
		if passed += n; n > 0 {
			end = string(p[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if passed < million-maxText || passed > million+maxText+n*len(overlong) || !strings.HasSuffix(end, "$3\r\nend\r\n") {
		t.Errorf("%d bytes passed, the last %.40q", passed, end)
	}
	if taken := limits.Taken(); taken < fewTexts-maxText || taken > fewTexts+2*maxText {
		t.Errorf("%d bytes are said to be taken", taken)
	}
	if _, err := conn.Write(nil); err != nil || limits.Taken() != others {
		t.Errorf("after the next request %d bytes: %v", limits.Taken(), err)
	}
}

func TestConn_ManyConnectionsShareOneBound(t *testing.T) {
	limits := &Limits{}
	var conns []net.Conn
	for range 1000 {
		conn := New(&stream{rest: "*100000\r\n", size: always(100)}, "", limits, nil)
		conns = append(conns, conn)
		if _, err := conn.Read(make([]byte, 1000)); err != nil {
			break
		}
	}
	if len(conns) > maxTotal/perElement/100_000+1 {
		t.Errorf("%d connections read lists of 100,000 elements", len(conns))
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if limits.Taken() != 0 {
		t.Errorf("%d bytes are said to be taken by connections that are closed", limits.Taken())
	}
}

// While a text is thrown away, the client must not take the reply for complete: it would
// read the rest as the reply to its next request.
func TestConn_AReplyEndsWhenAllOfItWasRead(t *testing.T) {
	said := "*1\r\n$70000\r\n" + strings.Repeat("*", 70_000) + "\r\n"
	for end := range len(said) {
		if end > 100 && end < len(said)-10 {
			continue
		}
		if passed, err := read(said[:end], &Limits{}, always(1<<30), always(32<<10)); strings.Contains(passed, byteText) || err != nil {
			t.Fatalf("after %d of %d bytes passed %q: %v", end, len(said), passed, err)
		}
	}
}

func TestConn_ASlowTextEndsAtTheDeadline(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go func() {
		_, _ = theirs.Write([]byte("*1\r\n$100000000\r\n"))
		for {
			if _, err := theirs.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	conn := New(ours, "", &Limits{}, nil)
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var err error
	for p := make([]byte, 100); err == nil; {
		_, err = conn.Read(p)
	}
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("the error is %v", err)
	}
}

func TestConn_AsksBeforeARedirection(t *testing.T) {
	var asked []string
	limits := &Limits{Redirect: func(addr string) bool {
		asked = append(asked, addr)
		return addr != "10.0.0.3:1"
	}}
	said := "-MOVED 1 10.0.0.1:1\r\n-ERR no\r\n*1\r\n-MOVED 1 unheeded:1\r\n-ASK 5 10.0.0.2:1\r\n-MOVED 9 10.0.0.3:1\r\n+OK\r\n"
	for _, w := range ways {
		asked = nil
		passed, err := read(said, limits, w.piece, w.buffer)
		if want, _, _ := strings.Cut(said, "-MOVED 9"); err == nil || passed != want || strings.Join(asked, " ") != "10.0.0.1:1 10.0.0.2:1 10.0.0.3:1" {
			t.Errorf("%s: asked of %v, passed %q: %v", w.name, asked, passed, err)
		}
	}
	if _, err := read("-MOVED 1 "+strings.Repeat("h", 600)+":1\r\n", limits, always(100), always(100)); err == nil {
		t.Error("a redirection of 600 bytes passed")
	}
}

func TestConn_IsNotUsedWhenStale(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var stale error
	conn := New(socket, "", &Limits{}, func() error { return stale })
	defer conn.Close()
	if _, err := conn.(socketConn).SyscallConn(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	stale = errors.New("another master")
	if _, err := conn.(socketConn).SyscallConn(); !errors.Is(err, stale) {
		t.Error(err)
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, stale) {
		t.Error(err)
	}
}

// What passes is a page of 100,000 counters.
func BenchmarkConn_Page(b *testing.B) {
	page := strings.Repeat("*500\r\n"+strings.Repeat("$5\r\n12345\r\n", 500), 200)
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		conn := New(&stream{rest: page, size: always(32 << 10)}, "", &Limits{}, nil)
		for {
			if _, err := conn.Read(p); err != nil {
				break
			}
		}
	}
}

// A client may close a connection while it reads from it. Nothing would subtract what is
// counted after that.
func TestConn_CountsNothingOnceItIsClosed(t *testing.T) {
	limits := &Limits{}
	server := &stream{rest: "*1000\r\n$5\r\nhello\r\n"}
	conn := New(server, "redis:6379", limits, nil)
	server.size = func() int {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		return len(server.rest)
	}
	if _, err := conn.Read(make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if taken := limits.Taken(); taken != 0 {
		t.Errorf("%d bytes are said to be taken", taken)
	}
}
