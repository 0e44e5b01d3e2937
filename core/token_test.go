// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"runtime"
	"testing"
	"time"
)

func TestToken_NoTwoHaveTheSameNumber(t *testing.T) {
	var taken []*token
	numbers := map[int]bool{}
	for range 100 {
		taken = append(taken, takeToken())
		numbers[taken[len(taken)-1].number] = true
	}
	if len(numbers) != len(taken) {
		t.Errorf("%d tokens have %d numbers", len(taken), len(numbers))
	}
	runtime.KeepAlive(taken)
}

func TestToken_NumbersOfTokensThatAreGoneAreUsedAgain(t *testing.T) {
	for range 100 {
		newToken()
	}
	tokenNumbers.mu.Lock()
	used := len(tokenNumbers.used)
	tokenNumbers.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); newToken().number >= used-100; {
		if time.Now().After(deadline) {
			t.Fatal("no number is free again")
		}
		runtime.GC()
	}
}

func TestToken_WithTooHighANumberIsGivenUpInTheEnd(t *testing.T) {
	newToken().putBack() // there is a limit
	low, high := &token{}, &token{number: 1 << 30}
	for range manyUses {
		if !low.keep() || !high.keep() {
			t.Fatal("a token is given up at once")
		}
	}
	if !low.keep() || high.keep() {
		t.Error("the wrong token is given up")
	}
}
