// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2/server"
	lua "github.com/yuin/gopher-lua"
)

// maxDepth and maxValues bound a script's result: a table may contain itself, or another
// one many times.
const (
	maxDepth  = 100
	maxValues = 1 << 20
)

var errTooLarge = errors.New("ERR the script's result is larger than the embedded server allows")

// status is a reply such as OK.
type status string

// toLua converts a command's reply, by Redis's rules.
func toLua(l *lua.LState, reply any) lua.LValue {
	switch v := reply.(type) {
	case nil:
		return lua.LFalse
	case int:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []byte:
		return lua.LString(v)
	case server.Simple:
		t := l.NewTable()
		t.RawSetString("ok", lua.LString(v))
		return t
	case error:
		t := l.NewTable()
		t.RawSetString("err", lua.LString(v.Error()))
		return t
	case []any:
		t := l.CreateTable(len(v), 0)
		for i, e := range v {
			t.RawSetInt(i+1, toLua(l, e))
		}
		return t
	}
	return lua.LString(fmt.Sprint(reply))
}

// fromLua converts a script's result, by Redis's rules: to nil, an int, a string, a
// status, an error or a list of these.
func fromLua(value lua.LValue) any {
	left := maxValues
	result := fromLuaIn(value, 0, &left)
	if left < 0 {
		return errTooLarge
	}
	return result
}

// fromLuaIn converts a value at this depth of the result. left is how many values the
// result may still have; it is negative once there are too many.
func fromLuaIn(value lua.LValue, depth int, left *int) any {
	if *left--; depth > maxDepth {
		*left = -1
	}
	if *left < 0 {
		return nil
	}
	switch v := value.(type) {
	case lua.LBool:
		if v {
			return 1
		}
	case lua.LNumber:
		return int(v)
	case lua.LString:
		return string(v)
	case *lua.LTable:
		if text, ok := v.RawGetString("err").(lua.LString); ok {
			return errors.New(string(text))
		}
		if text, ok := v.RawGetString("ok").(lua.LString); ok {
			return status(text)
		}
		list := []any{}
		for i := 1; *left >= 0; i++ {
			e := v.RawGetInt(i)
			if e == lua.LNil {
				break
			}
			list = append(list, fromLuaIn(e, depth+1, left))
		}
		return list
	}
	return nil
}

// write answers with a script's result.
func write(c *server.Peer, result any) {
	switch v := result.(type) {
	case int:
		c.WriteInt(v)
	case string:
		c.WriteBulk(v)
	case status:
		c.WriteInline(oneLine(string(v)))
	case error:
		c.WriteError(oneLine(v.Error()))
	case []any:
		c.WriteLen(len(v))
		for _, e := range v {
			write(c, e)
		}
	default:
		c.WriteNull()
	}
}
