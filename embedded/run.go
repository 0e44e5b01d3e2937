// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	luajson "github.com/alicebob/miniredis/v2/gopher-json"
	"github.com/alicebob/miniredis/v2/server"
	lua "github.com/yuin/gopher-lua"
)

// run is one run of a script.
type run struct {
	scripting *scripting
	readOnly  bool

	mu        sync.Mutex
	abandoned bool         // guarded by mu
	peer      *server.Peer // by which it calls commands; guarded by mu
	replies   bytes.Buffer // to peer; guarded by mu

	raised string // the error that redis.call raised last; belongs to the script's goroutine
}

func newRun(s *scripting, c *server.Peer, readOnly bool) *run {
	r := &run{scripting: s, readOnly: readOnly}
	r.peer = server.NewPeer(bufio.NewWriter(&r.replies))
	r.peer.Ctx = c.Ctx // its database
	return r
}

// await runs a script and returns its result, within scriptTimeout or a little
// more, and at once when the server closes.
func (r *run) await(code *lua.FunctionProto, keys, argv []string) any {
	ctx, cancel := context.WithTimeout(r.scripting.ctx, scriptTimeout)
	defer cancel()
	result := make(chan any, 1)
	go func() { result <- r.do(ctx, code, keys, argv) }()
	select {
	case v := <-result:
		return v
	case <-ctx.Done():
	}
	select {
	case v := <-result:
		return v
	case <-time.After(abandonAfter):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned = true
	return errTooLong
}

var errTooLong = errors.New("ERR the script took longer than the embedded server allows, or it was closed")

// do runs a script. Its result does not refer to the script's state, which it closes.
func (r *run) do(ctx context.Context, code *lua.FunctionProto, keys, argv []string) (result any) {
	defer func() {
		if p := recover(); p != nil {
			result = fmt.Errorf("ERR the script panicked: %v", p)
		}
	}()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	r.open(l)
	l.SetGlobal("KEYS", listOf(l, keys))
	l.SetGlobal("ARGV", listOf(l, argv))
	closeGlobals(l)
	l.SetContext(ctx)
	l.Push(l.NewFunctionFromProto(code))
	err := l.PCall(0, 1, nil)
	if ctx.Err() != nil {
		return errTooLong
	}
	if err != nil {
		var in *lua.ApiError
		if errors.As(err, &in) && in.Object != nil && in.Object != lua.LNil {
			if t, ok := in.Object.(*lua.LTable); ok {
				return fromLua(t)
			}
			if text := in.Object.String(); text == r.raised { // begins with its code, such as WRONGTYPE
				return errors.New(text)
			}
			return errors.New("ERR Error running script: " + in.Object.String())
		}
		return errors.New("ERR Error running script: " + err.Error())
	}
	return fromLua(l.Get(-1))
}

// removed are the functions of Lua's base that a Redis does not have, or that could get
// round limits: they read files, write to this process's output, or compile text.
var removed = []string{
	"dofile", "loadfile", "load", "loadstring", "print", "_printregs", "module", "require", "newproxy", "collectgarbage",
	"getfenv", "setfenv",
}

// maxRep is the longest text that string.rep makes.
const maxRep = 64 << 20

// open gives a state what scripts may use.
func (r *run) open(l *lua.LState) {
	for name, lib := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString,
		lua.MathLibName: lua.OpenMath, lua.CoroutineLibName: lua.OpenCoroutine,
	} {
		l.Push(l.NewFunction(lib))
		l.Push(lua.LString(name))
		l.Call(1, 0)
	}
	for _, name := range removed {
		l.SetGlobal(name, lua.LNil)
	}
	rep := l.GetField(l.GetGlobal("string"), "rep")
	l.SetField(l.GetGlobal("string"), "rep", l.NewFunction(func(l *lua.LState) int {
		text, n := l.CheckString(1), l.CheckInt(2)
		if n > 0 && len(text) > maxRep/n {
			l.RaiseError("the result of string.rep is longer than the embedded server makes")
		}
		l.Push(rep)
		l.Push(lua.LString(text))
		l.Push(lua.LNumber(n))
		l.Call(2, 1)
		return 1
	}))
	l.Push(l.NewFunction(luajson.Loader))
	l.Call(0, 1)
	l.SetGlobal("cjson", l.Get(-1))
	l.Pop(1)

	module := l.NewTable()
	l.SetFuncs(module, map[string]lua.LGFunction{
		"call":  func(l *lua.LState) int { return r.call(l, true) },
		"pcall": func(l *lua.LState) int { return r.call(l, false) },
		"error_reply": func(l *lua.LState) int {
			text := strings.TrimPrefix(l.CheckString(1), "-")
			if !strings.Contains(text, " ") {
				text = "ERR " + text
			}
			return pushOne(l, "err", text)
		},
		"status_reply": func(l *lua.LState) int { return pushOne(l, "ok", l.CheckString(1)) },
		"sha1hex": func(l *lua.LState) int {
			l.Push(lua.LString(sha1Hex(l.CheckString(1))))
			return 1
		},
		"log":                func(*lua.LState) int { return 0 },
		"replicate_commands": func(l *lua.LState) int { l.Push(lua.LTrue); return 1 },
		"set_repl":           func(*lua.LState) int { return 0 },
		"setresp":            func(*lua.LState) int { return 0 }, // replies have the form of version 2
	})
	for i, level := range []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"} {
		module.RawSetString(level, lua.LNumber(i))
	}
	l.SetGlobal("redis", module)
	l.SetGlobal("server", module)
}

// closeGlobals makes it an error, as in a Redis, to set a global or to read one that does
// not exist: a test must not pass here with a script that fails there.
func closeGlobals(l *lua.LState) {
	l.G.Global.Metatable = l.SetFuncs(l.NewTable(), map[string]lua.LGFunction{
		"__index": func(l *lua.LState) int {
			l.RaiseError("Script attempted to access nonexistent global variable '%s'", l.Get(2))
			return 0
		},
		"__newindex": func(l *lua.LState) int {
			l.RaiseError("Attempt to modify a readonly table")
			return 0
		},
	})
}

// call executes a command of a script, and raises its error or returns it.
func (r *run) call(l *lua.LState, raise bool) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LNumber, lua.LString:
			args[i] = v.String()
		default:
			l.RaiseError("redis.call takes texts and numbers")
		}
	}
	if len(args) == 0 {
		l.RaiseError("redis.call takes at least one argument")
	}
	reply, err := r.dispatch(args)
	switch {
	case err == nil:
		l.Push(toLua(l, reply))
		return 1
	case raise:
		r.raised = err.Error()
		l.Error(lua.LString(r.raised), 0)
	}
	return pushOne(l, "err", err.Error())
}

func (r *run) dispatch(args []string) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, cmd := r.scripting, strings.ToUpper(args[0])
	switch {
	case r.abandoned:
		return nil, errTooLong
	case blocking[cmd] || notInScripts[cmd]:
		return nil, errors.New("ERR This Redis command is not allowed from script")
	case !s.server.IsRegisteredCommand(cmd):
		return nil, errors.New("ERR Unknown Redis command called from script")
	case r.readOnly && !s.server.IsReadOnlyCommand(cmd):
		return nil, errors.New("ERR Write commands are not allowed from read-only scripts.")
	}
	r.replies.Reset()
	s.execute(r.peer, cmd, args[1:])
	r.peer.Flush()
	return server.ParseReply(bufio.NewReader(&r.replies))
}

func pushOne(l *lua.LState, field, text string) int {
	t := l.NewTable()
	t.RawSetString(field, lua.LString(text))
	l.Push(t)
	return 1
}

func listOf(l *lua.LState, texts []string) *lua.LTable {
	t := l.CreateTable(len(texts), 0)
	for _, text := range texts {
		t.Append(lua.LString(text))
	}
	return t
}
