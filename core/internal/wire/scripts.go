// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/sha1" // Redis names scripts by their SHA-1.
	"embed"
	"encoding/hex"
)

// scriptFiles has a file name-K.lua for each script, where K is the number of its keys. All
// keys of a call share one hash tag. What stands in marks.lua, values.lua, changes.lua and
// seniority.lua is put before the scripts that use it.
//
//go:embed *.lua
var scriptFiles embed.FS

// script is one Lua script as the server knows it.
type script struct {
	keys   int // or anyKeys
	source string
	sha    string
}

// anyKeys are those of a script that is called with any number of keys.
const anyKeys = -1

var (
	commitScript   = loadScript(3, "marks.lua", "values.lua", "changes.lua", "commit-3.lua")
	forgetScript   = loadScript(3, "forget-3.lua")
	gaugesScript   = loadScript(2, "gauges-2.lua")
	headScript     = loadScript(2, "head-2.lua")
	holdScript     = loadScript(1, "seniority.lua", "hold-1.lua")
	idleScript     = loadScript(3, "marks.lua", "changes.lua", "idle-3.lua")
	lapseScript    = loadScript(1, "seniority.lua", "lapse-1.lua")
	listedScript   = loadScript(1, "listed-1.lua")
	livingScript   = loadScript(anyKeys, "living-n.lua")
	markScript     = loadScript(3, "marks.lua", "mark-3.lua")
	pruneScript    = loadScript(1, "prune-1.lua")
	readScript     = loadScript(1, "read-1.lua")
	registerScript = loadScript(3, "register-3.lua")
	releaseScript  = loadScript(2, "seniority.lua", "release-2.lua")
	staleScript    = loadScript(1, "stale-1.lua")
	touchScript    = loadScript(1, "touch-1.lua")
	turnScript     = loadScript(1, "turn-1.lua")
	unlistScript   = loadScript(1, "unlist-1.lua")
)

// loadScript makes a script of the texts of files, one after the other.
func loadScript(keys int, files ...string) *script {
	var source []byte
	for _, file := range files {
		part, err := scriptFiles.ReadFile(file)
		if err != nil {
			panic(err) // the file is part of the program
		}
		source = append(source, part...)
	}
	sum := sha1.Sum(source)
	return &script{keys: keys, source: string(source), sha: hex.EncodeToString(sum[:])}
}
