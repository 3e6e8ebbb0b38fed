//go:build !race

package main

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// partition is one of the cuts between nodes, ledger and Redis.
type partition struct {
	name          string
	nodes         int // the first so many are cut off
	ledger, redis bool
	fault         func(*rig.Proxy)
}

// T07: each cut in turn, under load and with objections. Nothing wrong is allowed, a node cut off from the ledger allows
// nothing more when its lease has run out, and it is soon back. The mutants mutant_lease_unchecked and
// mutant_fence_no_lease must fail here.
func TestT07PartitionMatrix(t *testing.T) {
	partitions := []partition{
		{"one node, ledger cut", 1, true, false, (*rig.Proxy).Cut},
		{"one node, ledger hung", 1, true, false, (*rig.Proxy).Hang},
		{"one node, Redis cut", 1, false, true, (*rig.Proxy).Cut},
		{"one node, Redis hung", 1, false, true, (*rig.Proxy).Hang},
		{"one node, both cut", 1, true, true, (*rig.Proxy).Cut},
		{"all nodes, ledger cut", 3, true, false, (*rig.Proxy).Cut},
		{"all nodes, both hung", 3, true, true, (*rig.Proxy).Hang},
	}
	length := max(2*leaseTerm, min(10*time.Second, soak(t)/time.Duration(len(partitions))))
	each := int((length + 10*time.Second) / (100 * time.Millisecond))
	c := startCluster(t, 3)
	c.nodes[0].consents(0, each*len(partitions))
	for i, p := range partitions {
		t.Run(p.name, func(t *testing.T) { p.try(t, c, length, i*each, (i+1)*each) })
	}
}

func (p partition) try(t *testing.T, c *cluster, length time.Duration, from, through int) {
	l := c.startLoad(t, 150, from, through)
	l.objectFor(time.Second, 100*time.Millisecond)
	p.set(c, p.fault)
	cut := l.now()
	l.objectFor(length, 100*time.Millisecond)
	healing := l.now()
	p.set(c, (*rig.Proxy).Heal)
	l.objectFor(2*time.Second, 100*time.Millisecond)
	c.wantAllowed(subject(through-1), soon)
	l.stop()
	apart := l.answers.that(func(a *answered) bool { return a.node < p.nodes && a.sent >= cut && a.got < healing })
	back := l.answers.that(func(a *answered) bool { return a.node < p.nodes && a.sent >= healing && a.allowed() })
	t.Logf("cut off: %v", apart)
	if len(apart) < 20 || len(back) == 0 {
		t.Fatal("too little was tried")
	}
	returned := back[0].got - healing
	t.Logf("back after %v", returned.Round(time.Millisecond))
	if returned > 10*time.Second {
		t.Error("not soon back")
	}
	if p.ledger {
		wantNoneAfterTheLease(t, apart, cut)
	} else if undecided := apart.undecided(); undecided*50 > len(apart) {
		t.Errorf("%d of %d were undecided without Redis", undecided, len(apart))
	}
	l.wantNoWrongAllow()
}

func (p partition) set(c *cluster, to func(*rig.Proxy)) {
	for _, n := range c.nodes[:p.nodes] {
		if p.ledger {
			to(n.toLedger)
		}
		if p.redis {
			to(n.toRedis)
		}
	}
}

// wantNoneAfterTheLease wants nothing allowed that was asked for when the lease had run out.
func wantNoneAfterTheLease(t *testing.T, apart answers, cut time.Duration) {
	t.Helper()
	last := time.Duration(0)
	for i := range apart {
		if apart[i].allowed() {
			last = max(last, apart[i].got-cut)
		}
	}
	t.Logf("last allowed %v after the cut", last.Round(time.Millisecond))
	if late := apart.asked(cut+leaseTerm+50*time.Millisecond, 1<<62); late.allowed() > 0 || len(late) == 0 {
		t.Errorf("asked after the lease had run out: %v", late)
	}
}
