// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

// hostileTexts are texts that somebody may store to forge lines in a log.
var hostileTexts = []string{
	"", "plain", "a\nb", "a\r\nlevel=ERROR msg=forged", "\x1b[2J\x1b[31mred", "\x00\x07\x7f", "\xff\xfe\xfd", "a\u2028b\u2029c\u0085d",
	"\u202egnp.exe", "\u2066hidden\u2069", "\ufeff", "\U000E0001\U000E0041", `"quoted" \n`, "üñí 日本 🙂",
	strings.Repeat("a", 1<<20), strings.Repeat("\n", 1<<20), strings.Repeat("\x80", 1<<20), strings.Repeat("🙂", 1<<18),
	strings.Repeat("a", 199) + "ü", strings.Repeat("a", 499) + "🙂" + strings.Repeat("a", 499),
}

// wantOneLine fails unless a text is one printable line of at most this length.
func wantOneLine(t *testing.T, text string, most int) {
	t.Helper()
	if len(text) > most {
		t.Errorf("%d bytes, want %d at most: %.80q", len(text), most, text)
	}
	if !utf8.ValidString(text) {
		t.Errorf("no UTF-8: %.80q", text)
	}
	for _, r := range text {
		if !strconv.IsPrint(r) {
			t.Errorf("%U is not printable in %.80q", r, text)
			return
		}
	}
}

func TestQuote_IsOnePrintableLineOfBoundedLength(t *testing.T) {
	for _, text := range hostileTexts {
		for _, shown := range []string{Quote(text), QuoteName(text)} {
			wantOneLine(t, shown, 4*maxQuoted+40)
		}
		if shown := Quote(text); len(text) <= maxQuoted {
			if back, err := strconv.Unquote(shown); err != nil || back != text {
				t.Errorf("%q does not read back", shown)
			}
		} else if !strings.HasSuffix(shown, " bytes)") {
			t.Errorf("%q does not say how long it was", shown)
		}
	}
	if name := QuoteName("requests_total"); name != "requests_total" {
		t.Errorf("a name in quotes: %s", name)
	}
}

func TestPrintable_IsTheErrorOnOneLine(t *testing.T) {
	for _, text := range hostileTexts {
		err := errors.New(text)
		shown := Printable(err)
		wantOneLine(t, shown.Error(), maxLine+40)
		if !errors.Is(shown, err) {
			t.Errorf("%.80q is another error", text)
		}
	}
	if err := errors.New("flush: dial tcp 127.0.0.1:6379: connection refused, und so weiter: ü"); Printable(err) != err {
		t.Error("a harmless error was changed")
	}
}

// The reader may find very many damaged texts, and reports the first. The errors of the
// others must cost no more than those of short texts.
func TestStoredError_CostsLittleUntilItIsTold(t *testing.T) {
	long := strings.Repeat("\n", MaxText)
	for name, read := range map[string]func(string) error{
		"vector": func(s string) error { _, err := ParseVector(nil, s); return err },
		"number": func(s string) error { _, err := ParseNumber(s); return err },
		"field":  func(s string) error { _, err := DecodeField(s); return err },
		"lease":  func(s string) error { _, err := parseLease("i:1", s); return err },
		"reply":  func(s string) error { return commitReply(&Commit{}, &call{cmd: replying(s)}).Err },
	} {
		var short, full error
		few := allocated(func() { short = read("\n") })
		many := allocated(func() { full = read(long) })
		if short == nil || full == nil || many > few+few/2+1024 {
			t.Errorf("%s: %d bytes for the error of a short text, %d for a long one: %v, %v", name, few, many, short, full)
			continue
		}
		wantOneLine(t, full.Error(), maxLine)
	}
}

// replying is an answered command.
func replying(value any) *redis.Cmd {
	cmd := redis.NewCmd(context.Background())
	cmd.SetVal([]any{value, value})
	return cmd
}

// allocated is how many bytes a call takes.
func allocated(do func()) int64 {
	const runs = 20
	var before, after runtime.MemStats
	do()
	runtime.ReadMemStats(&before)
	for range runs {
		do()
	}
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc-before.TotalAlloc) / runs
}
