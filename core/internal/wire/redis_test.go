// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestScripts_AreHeadedByWhatTheyTakeAndGive(t *testing.T) {
	files, err := fs.Glob(scriptFiles, "*-?.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		source, err := scriptFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(source), "\n\n")
		for _, want := range []string{"-- SPDX-License-Identifier: Apache-2.0\n", "-- KEYS ", "-- Returns", "-- Twice is safe:"} {
			if !strings.Contains(head, want) {
				t.Errorf("%s: its head lacks %q", file, want)
			}
		}
		if strings.HasSuffix(file, "-n.lua") {
			continue // any number of keys
		}
		var keys int
		if _, err := fmt.Sscanf(file[strings.LastIndex(file, "-"):], "-%d.lua", &keys); err != nil {
			t.Errorf("%s: not named name-K.lua", file)
		}
		for k := 1; k <= keys+1; k++ {
			if used := strings.Contains(string(source), fmt.Sprintf("KEYS[%d]", k)); used != (k <= keys) {
				t.Errorf("%s: KEYS[%d] used: %v", file, k, used)
			}
		}
	}
}

func TestScripts_AreCalledWithTheNumberOfTheirKeys(t *testing.T) {
	for file, s := range map[string]*script{
		"commit-3": commitScript, "forget-3": forgetScript, "gauges-2": gaugesScript,
		"head-2": headScript, "hold-1": holdScript, "idle-3": idleScript, "lapse-1": lapseScript, "listed-1": listedScript,
		"living-n": livingScript, "mark-3": markScript, "prune-1": pruneScript,
		"read-1": readScript, "register-3": registerScript, "release-2": releaseScript, "stale-1": staleScript,
		"touch-1": touchScript, "turn-1": turnScript, "unlist-1": unlistScript,
	} {
		suffix := fmt.Sprintf("-%d", s.keys)
		if s.keys == anyKeys {
			suffix = "-n"
		}
		if !strings.HasSuffix(file, suffix) || len(s.sha) != 40 {
			t.Errorf("%s is called with %d keys", file, s.keys)
		}
	}
}

func TestKeys_OfOneCallShareAHashTag(t *testing.T) {
	tag := func(key string) string {
		_, rest, _ := strings.Cut(key, "{")
		tag, _, _ := strings.Cut(rest, "}")
		return tag
	}
	k := keys{"shop"}
	for _, key := range k.family("orders_total") {
		if got := tag(key); got != "shop/orders_total" {
			t.Errorf("the tag of %s is %q", key, got)
		}
	}
	for _, key := range []string{k.families(), k.leases(), k.gauges("w1")} {
		if got := tag(key); got != "shop" {
			t.Errorf("the tag of %s is %q", key, got)
		}
	}
}

func TestUnexecuted_AreCallsOfUnknownScriptsAndLaterOnesOnTheirKeys(t *testing.T) {
	noScript := fmt.Errorf("wrapped: %w", redis.ErrNoScript)
	var calls []*call
	for _, c := range []struct {
		key string
		err error
	}{
		{"a", nil},                 // 0: before the trouble
		{"a", noScript},            // 1
		{"a", nil},                 // 2: its answer is a gap, since 1 did not run
		{"b", nil},                 // 3: another family
		{"a", errors.New("reset")}, // 4: in doubt, and must stay so
		{"b", noScript},            // 5
	} {
		cmd := redis.NewCmd(context.Background())
		cmd.SetErr(c.err)
		calls = append(calls, &call{keys: []string{c.key}, cmd: cmd})
	}
	var got []int
	for _, c := range unexecuted(calls) {
		got = append(got, slices.Index(calls, c))
	}
	if want := []int{1, 2, 5}; !slices.Equal(got, want) {
		t.Errorf("to be sent again are %v, want %v", got, want)
	}
}

// reply is an error reply of a server.
type reply string

func (e reply) Error() string { return string(e) }
func (reply) RedisError()     {}

func TestIsReply_FindsTheCodeWhereverServersPutIt(t *testing.T) {
	for text, want := range map[string]bool{
		"WRONGTYPE Operation against a key":                                            true,
		"ERR Error running script (call to f_0): @user_script:3: -WRONGTYPE Operation": true,
		"ERR Error compiling script (new function): :151: WRONGTYPE Operation":         true,
		"WRONGTYPED thing":     false,
		"ERR no such WRONGTYP": false,
	} {
		if got := isReply(reply(text), "WRONGTYPE"); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if isReply(errors.New(text), "WRONGTYPE") {
			t.Errorf("%q is no reply", text)
		}
	}
	if isReply(nil, "WRONGTYPE") || Damaged(nil) || Answered(nil) || !Answered(reply("ERR x")) {
		t.Error("no error is an answer")
	}
}

func TestRedis_OddRepliesAreErrors(t *testing.T) {
	for _, value := range [][]any{
		{}, {"OK"}, {"OK", "x", int64(0), int64(0)}, {"OK", "1"}, {"HELLO", "1"}, {"GAP"}, {"GAP", "-1"}, {int64(1)},
		{"OK", "1", int64(0), int64(0)}, // without the total
	} {
		cmd := redis.NewCmd(context.Background())
		cmd.SetVal(value)
		c := &Commit{Totals: true, Ops: []Op{{Kind: OpAdd}}}
		if r := commitReply(c, &call{cmd: cmd}); !errors.Is(r.Err, errReply) || r.Status != 0 {
			t.Errorf("a commit's reply %v reads %+v", value, r)
		}
		if r := new(Redis).registerReply("a", &call{cmd: cmd}); !errors.Is(r.Err, errReply) {
			t.Errorf("a registration's reply %v reads %+v", value, r)
		}
	}
}
