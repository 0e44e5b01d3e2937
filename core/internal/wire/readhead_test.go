// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Anybody may store registrations. What a head reads of all of them is bounded, whether it expected
// the families or not.
func TestReadHead_RegistrationsThatDoNotFitAreOmitted(t *testing.T) {
	long := FamilyState{Generation: "g", Definition: Definition{Type: TypeCounter, Help: strings.Repeat("x", roomForFamilies/2)}}
	names := []string{"a_total", "b_total"}
	head := Head{App: AppState{Families: names}}
	if err := new(Redis).readOthers(context.Background(), &head, names, []FamilyState{long, long}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if head.States[0].Err != nil || !errors.Is(head.States[1].Err, ErrTooLarge) {
		t.Errorf("the errors are %v and %v, want none and %v", head.States[0].Err, head.States[1].Err, ErrTooLarge)
	}
}
