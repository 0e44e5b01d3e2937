// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/sha1" // Redis names scripts by their SHA-1.
	"embed"
	"encoding/hex"
	"slices"
)

// scriptFiles has a file name-K.lua for each script, where K is the number of its keys. All
// keys of a call share one hash tag.
//
//go:embed *-?.lua
var scriptFiles embed.FS

// marksSource stands before the scripts that use marks.
//
//go:embed marks.lua
var marksSource []byte

// script is one Lua script as the server knows it.
type script struct {
	keys   int
	source string
	sha    string
}

var (
	commitScript   = loadScript("commit-3.lua", 3)
	forgetScript   = loadScript("forget-3.lua", 3)
	gaugesScript   = loadScript("gauges-2.lua", 2)
	headScript     = loadScript("head-2.lua", 2)
	holdScript     = loadScript("hold-1.lua", 1)
	idleScript     = loadScript("idle-3.lua", 3)
	lapseScript    = loadScript("lapse-1.lua", 1)
	listedScript   = loadScript("listed-1.lua", 1)
	livingScript   = loadScript("living-1.lua", 1)
	markScript     = loadScript("mark-3.lua", 3)
	pruneScript    = loadScript("prune-1.lua", 1)
	readScript     = loadScript("read-1.lua", 1)
	registerScript = loadScript("register-3.lua", 3)
	releaseScript  = loadScript("release-2.lua", 2)
	staleScript    = loadScript("stale-1.lua", 1)
	touchScript    = loadScript("touch-1.lua", 1)
	turnScript     = loadScript("turn-1.lua", 1)
	unlistScript   = loadScript("unlist-1.lua", 1)
)

func loadScript(file string, keys int) *script {
	source, err := scriptFiles.ReadFile(file)
	if err != nil {
		panic(err) // the file is part of the program
	}
	if bytes.Contains(source, []byte("marks(")) {
		source = slices.Concat(marksSource, source)
	}
	sum := sha1.Sum(source)
	return &script{keys: keys, source: string(source), sha: hex.EncodeToString(sum[:])}
}
