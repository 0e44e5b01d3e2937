// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// scriptTimeout is how long a script may take. By default, a Redis lets others end a script
// after the same time. Shoal's scripts take milliseconds. Tests shorten it.
var scriptTimeout = 5 * time.Second

const (
	// abandonAfter is how much longer the server waits for a script. A script that is
	// inside a function of Go, such as a search for a costly pattern, does not notice that
	// its time is over: it goes on in its goroutine, and its commands are refused.
	abandonAfter = time.Second
	// maxScriptLength bounds how deep a script can be nested, and with that the
	// stack that its compilation takes.
	maxScriptLength = 256 << 10
	// maxScripts bounds the scripts that are kept. After NOSCRIPT clients send a script
	// again.
	maxScripts = 1000
)

// scripting runs scripts in place of miniredis, which sets them no limits: there they can
// read files, and one without an end would hold up all other commands for ever. To keep
// scripts atomic it lets one command run at a time.
type scripting struct {
	server *server.Server
	ctx    context.Context // of the server's life

	// executing has the peers whose command miniredis executes, under mu.
	executing sync.Map
	// inMulti says whether a peer gathers commands between MULTI and EXEC. It has an
	// entry for each peer that ever did.
	inMulti sync.Map

	mu   sync.Mutex                    // held by the command that runs
	code map[string]*lua.FunctionProto // by SHA-1; guarded by mu
}

func newScripting(ctx context.Context, srv *server.Server) *scripting {
	return &scripting{server: srv, ctx: ctx, code: map[string]*lua.FunctionProto{}}
}

// blocking are the commands that may wait for other clients, and so must not hold mu.
var blocking = set("BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP XREAD XREADGROUP")

// notInScripts are the commands that a script must not call, besides the blocking ones.
var notInScripts = set("EVAL EVAL_RO EVALSHA EVALSHA_RO SCRIPT MULTI EXEC DISCARD WATCH UNWATCH " +
	"SUBSCRIBE PSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE AUTH HELLO CLIENT QUIT RESET")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// hook is called with each command, and says whether it has answered it.
func (s *scripting) hook(c *server.Peer, cmd string, args ...string) bool {
	if _, ok := s.executing.Load(c); ok || blocking[cmd] {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch cmd {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "SCRIPT":
		if in, _ := s.inMulti.Load(c); in == true {
			s.failTransaction(c, cmd)
			c.WriteError("ERR the embedded server runs no script between MULTI and EXEC")
		} else if cmd == "SCRIPT" {
			s.manage(c, args)
		} else {
			s.eval(c, cmd, args)
		}
		return true
	case "MULTI":
		if _, known := s.inMulti.Swap(c, true); !known {
			c.OnDisconnect(func() { s.inMulti.Delete(c) })
		}
	case "EXEC", "DISCARD":
		s.inMulti.CompareAndSwap(c, true, false)
	}
	s.execute(c, cmd, args)
	return true
}

// execute lets miniredis execute a command of c. The caller holds mu.
func (s *scripting) execute(c *server.Peer, cmd string, args []string) {
	s.executing.Store(c, true)
	defer s.executing.Delete(c)
	s.server.Dispatch(c, append([]string{cmd}, args...))
}

// failTransaction makes miniredis refuse the transaction of c, as it does after any command
// that can't be queued. The caller holds mu.
func (s *scripting) failTransaction(c *server.Peer, cmd string) {
	silent := server.NewPeer(bufio.NewWriter(io.Discard)) // the client gets our error, not this one
	silent.Ctx = c.Ctx                                    // which has the transaction
	s.execute(silent, cmd, nil)
}

// manage executes SCRIPT.
func (s *scripting) manage(c *server.Peer, args []string) {
	sub := ""
	if len(args) > 0 {
		sub = strings.ToUpper(args[0])
	}
	switch {
	case sub == "LOAD" && len(args) == 2:
		if _, err := s.load(args[1]); err != "" {
			c.WriteError(err)
			return
		}
		c.WriteBulk(sha1Hex(args[1]))
	case sub == "EXISTS" && len(args) > 1:
		c.WriteLen(len(args) - 1)
		for _, sha := range args[1:] {
			n := 0
			if s.code[strings.ToLower(sha)] != nil {
				n = 1
			}
			c.WriteInt(n)
		}
	case sub == "FLUSH":
		clear(s.code)
		c.WriteOK()
	default:
		c.WriteError("ERR the embedded server has SCRIPT LOAD, SCRIPT EXISTS and SCRIPT FLUSH only")
	}
}

// load compiles a script and keeps it, or returns an error for the client.
func (s *scripting) load(source string) (*lua.FunctionProto, string) {
	sha := sha1Hex(source)
	if code := s.code[sha]; code != nil {
		return code, ""
	}
	if len(source) > maxScriptLength {
		return nil, "ERR the script is longer than the " + strconv.Itoa(maxScriptLength) + " bytes that the embedded server takes"
	}
	chunk, err := parse.Parse(strings.NewReader(source), "user_script")
	if err != nil {
		return nil, "ERR Error compiling script: " + oneLine(err.Error())
	}
	code, err := lua.Compile(chunk, "user_script")
	if err != nil {
		return nil, "ERR Error compiling script: " + oneLine(err.Error())
	}
	if len(s.code) >= maxScripts {
		clear(s.code)
	}
	s.code[sha] = code
	return code, ""
}

// eval executes EVAL and its like.
func (s *scripting) eval(c *server.Peer, cmd string, args []string) {
	if len(args) < 2 {
		c.WriteError("ERR wrong number of arguments for '" + strings.ToLower(cmd) + "' command")
		return
	}
	keys, err := strconv.Atoi(args[1])
	switch {
	case err != nil:
		c.WriteError("ERR value is not an integer or out of range")
		return
	case keys < 0:
		c.WriteError("ERR Number of keys can't be negative")
		return
	case keys > len(args)-2:
		c.WriteError("ERR Number of keys can't be greater than number of args")
		return
	}
	var code *lua.FunctionProto
	if strings.HasPrefix(cmd, "EVALSHA") {
		if code = s.code[strings.ToLower(args[0])]; code == nil {
			c.WriteError("NOSCRIPT No matching script. Please use EVAL.")
			return
		}
	} else {
		var problem string
		if code, problem = s.load(args[0]); problem != "" {
			c.WriteError(problem)
			return
		}
	}
	r := newRun(s, c, strings.HasSuffix(cmd, "_RO"))
	write(c, r.await(code, args[2:2+keys], args[2+keys:]))
}

func sha1Hex(text string) string {
	sum := sha1.Sum([]byte(text)) // it is how Redis names scripts
	return hex.EncodeToString(sum[:])
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }), " ")
}
