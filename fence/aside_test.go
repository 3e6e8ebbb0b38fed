package fence

import (
	"testing"

	"github.com/belpoort/belpoort/eligibility"
)

// What concerns neither a callee nor the catalogue moves a node on, and costs it nothing else.
func TestWhatNobodyReliesOnLoadsNoCatalogue(t *testing.T) {
	floors := mustFloors(t, leastMaxBytes)
	var heard []eligibility.CalleeToken
	c := newCore(NodeID{1}, rules{}, floors, func(callee eligibility.CalleeToken, _ uint64) { heard = append(heard, callee) })
	c.start(0)
	b, err := c.receive(0, []Change{{Position: 1, Callee: token(1)}, {Position: 2, Aside: true}, {Position: 3, Aside: true}}, 3)
	if err != nil || b.last != 3 || b.catalogue != 0 {
		t.Errorf("%+v, %v", b, err)
	}
	if len(heard) != 1 || !floors.Current(token(2), 0) {
		t.Errorf("heard of %v", heard)
	}
	if b, err = c.receive(3, []Change{{Position: 4}}, 4); err != nil || b.catalogue != 4 {
		t.Errorf("a catalogue: %+v, %v", b, err)
	}
	if _, err := c.receive(4, []Change{{Position: 6, Aside: true}}, 6); err == nil {
		t.Error("a gap before it is not found")
	}
}
