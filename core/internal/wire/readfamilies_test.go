// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
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
