package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/telephony"
)

func TestNumbersCannotBeAssignedAndDoNotRepeat(t *testing.T) {
	p, err := NewPopulation(20_000, 0.7, 3)
	if err != nil {
		t.Fatal(err)
	}
	if p.Allowed() != 14_000 || p.Denied() != 6_000 {
		t.Fatalf("%d and %d", p.Allowed(), p.Denied())
	}
	seen := map[string]bool{}
	look := func(number string, first byte) {
		n, err := telephony.Canonical(number)
		if err != nil || n.E164() != number || len(number) != 12 || number[5] != first || !strings.Contains(areas, number[3:5]) {
			t.Fatalf("%s: %v", number, err)
		}
		if seen[number] {
			t.Fatalf("%s twice", number)
		}
		seen[number] = true
	}
	for n := range uint64(p.Allowed()) {
		look(p.AllowedNumber(n), '1')
	}
	for n := range uint64(p.Denied()) {
		look(p.DeniedNumber(n), '9')
	}
	look(callerID, '0')
	if p.AllowedNumber(14_000) != p.AllowedNumber(0) || p.DeniedNumber(6_001) != p.DeniedNumber(1) {
		t.Error("callees do not repeat after the last")
	}
}

func TestTheSeedDecidesWhoIsGenerated(t *testing.T) {
	at := func(seed uint64) (Population, string) {
		p, err := NewPopulation(10, 0.5, seed)
		if err != nil {
			t.Fatal(err)
		}
		return p, p.AllowedNumber(0) + p.AllowedNumber(1) + p.DeniedNumber(0)
	}
	one, numbers := at(1)
	_, again := at(1)
	_, others := at(2)
	if numbers != again || numbers == others {
		t.Errorf("%s, %s, %s", numbers, again, others)
	}
	drawn := 0
	for n := range uint64(10_000) {
		if one.drawn(n) {
			drawn++
		}
	}
	if drawn < 4500 || drawn > 5500 {
		t.Errorf("%d of 10,000 calls of a mixed load are to callees who may be called, the share is a half", drawn)
	}
}

func TestPopulationsAreChecked(t *testing.T) {
	for _, c := range []struct {
		callees int
		mix     float64
	}{{1, 0.5}, {MaxCallees + 1, 0.5}, {10, 0}, {10, 1}, {10, -1}, {10, math.NaN()}} {
		if _, err := NewPopulation(c.callees, c.mix, 1); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
	if p, err := NewPopulation(2, 0.999, 1); err != nil || p.Allowed() != 1 || p.Denied() != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// A fact about a number is the same whatever the seed, and none holds the number.
func TestFactsHoldNoNumber(t *testing.T) {
	p := population(t)
	kinds := map[string]int{}
	err := p.facts(time.Now(), func(r *belpoortv1.RecordFactRequest) error {
		fact := r.GetFact().ProtoReflect()
		kinds[r.GetCallee()[5:6]+string(fact.WhichOneof(fact.Descriptor().Oneofs().ByName("kind")).Name())]++
		payload, err := proto.Marshal(r.GetFact())
		if strings.Contains(string(payload), r.GetCallee()[4:]) {
			t.Errorf("a fact holds the number that it is about")
		}
		return err
	})
	if err != nil || kinds["1consent"] != p.Allowed() || kinds["9objection"] == 0 || kinds["9consent"] <= kinds["9objection"] || kinds["1objection"] != 0 {
		t.Errorf("%v, %v", kinds, err)
	}
}
