// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Somebody may store so much in place of the generations of many families that the last of them
// do not fit into a page.
func TestLookups_AGenerationThatDoesNotFitOmitsItsFamily(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	defer func() { _ = client.Close() }()
	l := NewRedis(client, "shop").newLookups([]string{"a_total"}, nil, 0)
	for i, text := range []string{"g", TypeCounter, "", "", "", "1", "0"} {
		l.replies[0].Values[i] = SeriesValue{Text: text, Found: true}
	}
	l.room = MaxText
	if err := l.took(valueCall{query: l.generation[0], to: 1}, 1, MaxText); err != nil {
		t.Fatal(err)
	}
	if got := l.states()[0]; !errors.Is(got.Err, ErrTooLarge) {
		t.Errorf("the family is %+v", got)
	}
}

// Anybody may store registrations. What is kept of all of them is bounded.
func TestFitFamilies_RegistrationsThatDoNotFitAreOmitted(t *testing.T) {
	long := FamilyState{Generation: "g", Definition: Definition{Type: TypeCounter, Help: strings.Repeat("x", roomForFamilies/2)}}
	states := []FamilyState{long, long}
	fitFamilies(states)
	if states[0].Err != nil || !errors.Is(states[1].Err, ErrTooLarge) {
		t.Errorf("the errors are %v and %v, want none and %v", states[0].Err, states[1].Err, ErrTooLarge)
	}
}
