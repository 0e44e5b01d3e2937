// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// wrongType is the text of a refusal, which tells the script and the line as well.
var wrongType = regexp.MustCompile(`(?s)Err:[^{}]*?WRONGTYPE[^{}]*? Generation:`)

func toldBriefly(h wire.Head) string {
	return wrongType.ReplaceAllString(told(h), "Err:WRONGTYPE Generation:")
}

func briefly(err error) string {
	if text := fmt.Sprint(err); !strings.Contains(text, "WRONGTYPE") {
		return text
	}
	return "WRONGTYPE"
}

// sameAsInParts reads a head for which values are expected, and fails the test unless it says what
// its parts say, and the values are those that ReadSeries reads. It returns whether the values
// came with the head.
func (f *fixture) sameAsInParts(store wire.Store, last wire.Expected) (together bool) {
	f.Helper()
	head, err := store.ReadHead(f.ctx, last)
	if err != nil {
		f.Fatal(err)
	}
	if got, want := toldBriefly(head), toldBriefly(f.inParts()); got != want {
		f.Errorf("it says\n%.2000s, its parts\n%.2000s", got, want)
	}
	if head.Series == nil {
		return false
	}
	want, lineage, err := store.ReadSeries(f.ctx, last.Series, last.Room)
	if err != nil {
		f.Fatal(err)
	}
	if len(head.Series) != len(want) || head.After != lineage {
		f.Fatalf("%d replies and the lineage %q, want %d and %q", len(head.Series), head.After, len(want), lineage)
	}
	for i := range want {
		got, want := head.Series[i], want[i]
		if !slices.Equal(got.Values, want.Values) || briefly(got.Err) != briefly(want.Err) {
			f.Errorf("of %q it reads\n%+v, ReadSeries\n%+v", last.Series[i].Family, got, want)
		}
	}
	return true
}

// expectedFamilies are families of which values are expected, with all that may be asked for.
func (f *fixture) expectedFamilies() wire.Expected {
	f.Helper()
	a, b := f.family("a", wire.TypeCounter), f.family("b", wire.TypeHistogram)
	f.family("c", wire.TypeCounter)
	f.apply(batch("a", a, 0, 1, add("x", "1"), add("y", "2")))
	var fields []string
	for n := range 3 {
		f.apply(batch("b", b, uint64(n), uint64(n)+1, numbered(n*400, n*400+400)...))
	}
	for n := range 1200 {
		fields = append(fields, numberedField(n))
	}
	f.take(hold("w"), 0, "")
	return wire.Expected{App: f.head(), Room: wire.MaxPage, Series: []wire.SeriesQuery{
		{Family: "a", Generation: a, Fields: []string{"x", "gone", "y"}, Texts: 2},
		{Family: "b", Generation: b, Fields: fields, Texts: 1200},
	}}
}

var expectedTests = map[string]func(f *fixture){
	"Expected_ValuesAreThoseThatAreStored": func(f *fixture) {
		last := f.expectedFamilies()
		f.sameAsInParts(f.store, last)
		for name, queries := range map[string][]wire.SeriesQuery{
			"of no field":            {{Family: "a", Generation: last.Series[0].Generation}},
			"of no generation":       {{Family: "a", Fields: []string{"x"}}},
			"of another one":         {{Family: "a", Generation: "another", Fields: []string{"x"}}},
			"of a family not listed": {{Family: "absent", Generation: "g", Fields: []string{"x"}}, last.Series[0]},
			"of one not registered":  {{Family: "absent", Fields: []string{"x"}}},
		} {
			last.Series = queries
			if f.sameAsInParts(f.store, last); f.Failed() {
				f.Fatalf("values %s were expected", name)
			}
		}
		last.App = wire.AppState{} // then the families are not asked for beside their values
		f.sameAsInParts(f.store, last)
	},
	"Expected_ValuesOfALostGenerationAreNotShown": func(f *fixture) {
		last := f.expectedFamilies()
		f.target.LoseControl(f.T, f.app, "a")
		f.target.LoseValues(f.T, f.app, "b")
		f.sameAsInParts(f.store, last)
		f.family("a", wire.TypeCounter)
		f.family("b", wire.TypeHistogram)
		f.sameAsInParts(f.store, last)
		replies, _, err := f.store.ReadSeries(f.ctx, last.Series, wire.MaxPage)
		if err != nil || !errors.Is(replies[0].Err, wire.ErrGeneration) || !errors.Is(replies[1].Err, wire.ErrGeneration) {
			f.Errorf("%+v, %v", replies, err)
		}
	},
	"Expected_ValuesWithoutRoomAreTooLarge": func(f *fixture) {
		last := f.expectedFamilies()
		replies, _, err := f.store.ReadSeries(f.ctx, last.Series, 1000)
		if err != nil || replies[0].Err != nil || len(replies[0].Values) != 3 || !errors.Is(replies[1].Err, wire.ErrTooLarge) {
			f.Errorf("%+v, %v", replies, err)
		}
	},
	"Series_HaveTheGenerationThatIsAskedFor": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "7")))
		for _, tt := range []struct {
			family, generation string
			err                error
		}{{"a", gen, nil}, {"a", "", nil}, {"a", "other", wire.ErrGeneration}, {"absent", gen, wire.ErrGeneration}} {
			for _, fields := range [][]string{{"x", "y"}, nil} {
				replies, _, err := f.store.ReadSeries(f.ctx, []wire.SeriesQuery{{Family: tt.family, Generation: tt.generation, Fields: fields}}, wire.MaxPage)
				if err != nil || !errors.Is(replies[0].Err, tt.err) {
					f.Fatalf("%+v: %+v, %v", tt, replies, err)
				}
				if values := replies[0].Values; tt.err == nil && (len(values) != len(fields) || len(fields) > 0 && values[0].Text != "7") {
					f.Errorf("%+v: %+v", tt, values)
				}
			}
		}
	},
}

var expectedDamageTests = map[string]func(f *redisFixture){
	"Expected_ValuesOfDamagedKeys": func(f *redisFixture) {
		last := f.expectedFamilies()
		plain, guarded := wire.NewRedis(f.client, f.app), wire.NewRedis(f.client, f.app)
		guarded.Guarded = true
		both := func(when string) {
			f.Helper()
			for round := range 2 { // in the second they know what was too long
				for _, store := range []wire.Store{plain, guarded} {
					if f.sameAsInParts(store, last); f.Failed() {
						f.Fatalf("%s, round %d", when, round)
					}
				}
			}
		}
		f.set(valuesKey(f.app, "a"), "y", strings.Repeat("7", wire.MaxText+1))
		f.set(valuesKey(f.app, "b"), numberedField(600), strings.Repeat("7", wire.MaxText))
		both("a text is too long")
		f.set(valuesKey(f.app, "b"), wire.GenerationField, strings.Repeat("g", wire.MaxText+1))
		both("a generation is too long")
		f.must(f.client.Del(f.ctx, valuesKey(f.app, "a")).Err())
		f.must(f.client.Set(f.ctx, valuesKey(f.app, "a"), "a stranger's", 0).Err())
		both("the values are of another type")
		f.must(f.client.Del(f.ctx, controlKey(f.app, "b")).Err())
		f.must(f.client.Set(f.ctx, controlKey(f.app, "b"), "a stranger's", 0).Err())
		both("a registration is of another type")
	},
	// What others left no room for is no generation.
	"Expected_GenerationsWithoutRoomAreOmitted": func(f *redisFixture) {
		help := strings.Repeat("h", wire.MaxText)
		for n := range 1040 {
			name := fmt.Sprintf("f%04d", n)
			f.target.List(f.T, f.app, name)
			f.set(controlKey(f.app, name), "gen", "g", "type", wire.TypeCounter, "help", help, "created", "1", "shape", "1 1.1")
			f.set(valuesKey(f.app, name), wire.GenerationField, help)
		}
		app := f.head()
		states, err := f.store.ReadFamilies(f.ctx, app.Families)
		if err != nil {
			f.Fatal(err)
		}
		for i, s := range states {
			if s.Err == nil {
				f.Errorf("%s is read as %.200q", app.Families[i], fmt.Sprintf("%+v", s))
			}
		}
	},
}
