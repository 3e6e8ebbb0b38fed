package client

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func allowed() *belpoortv1.CheckCallResponse {
	return &belpoortv1.CheckCallResponse{
		Verdict: belpoortv1.Verdict_VERDICT_ALLOW, DecisionId: "0199", Permit: "a.b.c", PermitExpireTime: timestamppb.Now(),
	}
}

func TestOnlyAFreshAllowMayBeDialed(t *testing.T) {
	changed := func(change func(*belpoortv1.CheckCallResponse)) *belpoortv1.CheckCallResponse {
		r := allowed()
		change(r)
		return r
	}
	now := time.Now()
	for name, c := range map[string]struct {
		response *belpoortv1.CheckCallResponse
		err      error
		sentAt   time.Time
		may      bool
	}{
		"fresh":           {allowed(), nil, now, true},
		"almost too old":  {allowed(), nil, now.Add(-time.Second), true},
		"too old":         {allowed(), nil, now.Add(-DialWithin), false},
		"no time":         {allowed(), nil, time.Time{}, false},
		"of the future":   {allowed(), nil, now.Add(time.Hour), false},
		"with an error":   {allowed(), status.Error(codes.Unavailable, "away"), now, false},
		"nothing":         {nil, nil, now, false},
		"empty":           {&belpoortv1.CheckCallResponse{}, nil, now, false},
		"deny":            {changed(func(r *belpoortv1.CheckCallResponse) { r.Verdict = belpoortv1.Verdict_VERDICT_DENY }), nil, now, false},
		"defer":           {changed(func(r *belpoortv1.CheckCallResponse) { r.Verdict = belpoortv1.Verdict_VERDICT_DEFER }), nil, now, false},
		"a newer verdict": {changed(func(r *belpoortv1.CheckCallResponse) { r.Verdict = 77 }), nil, now, false},
		"a dry run":       {changed(func(r *belpoortv1.CheckCallResponse) { r.Permit, r.DecisionId = "", "" }), nil, now, false},
		"no end":          {changed(func(r *belpoortv1.CheckCallResponse) { r.PermitExpireTime = nil }), nil, now, false},
	} {
		if may := MayDial(c.response, c.err, c.sentAt); may != c.may {
			t.Errorf("%s: %v, want %v", name, may, c.may)
		}
		if why := WhyNot(c.response, c.err, c.sentAt); (why == nil) != c.may {
			t.Errorf("%s: %v", name, why)
		}
	}
}

func TestTheLongerOfTwoMeasuresIsTheAge(t *testing.T) {
	now := time.Now()
	sentAt := now.Add(-time.Second)
	if age := ageOf(sentAt, now); age != time.Second {
		t.Errorf("%v", age)
	}
	// A time without its monotonic part, as it comes out of a file, is measured by the wall clock.
	if age := ageOf(sentAt.Round(0), now); age != time.Second {
		t.Errorf("without monotonic clock: %v", age)
	}
}

func TestDialRefusesWhatCannotBeMeant(t *testing.T) {
	for says, o := range map[string]Options{
		"0 addresses":     {Key: "k"},
		"Key is missing":  {Nodes: []string{"127.0.0.1:1"}},
		"stands here":     {Nodes: []string{"127.0.0.1:1", "127.0.0.1:1"}, Key: "k"},
		"missing port":    {Nodes: []string{"127.0.0.1"}, Key: "k"},
		"beyond loopback": {Nodes: []string{"gate.example:2357"}, Key: "k"},
		"Deadline 3s":     {Nodes: []string{"127.0.0.1:1"}, Key: "k", Deadline: 3 * time.Second},
		"Deadline 1ms":    {Nodes: []string{"127.0.0.1:1"}, Key: "k", Deadline: time.Millisecond},
	} {
		c, err := Dial(o)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

func TestTheBudgetIsOneInTwenty(t *testing.T) {
	var b budget
	spent := 0
	for range 1000 {
		b.earn()
		if b.spend() {
			spent++
		}
	}
	if spent != 50 {
		t.Errorf("%d of 1000", spent)
	}
	for range 100_000 {
		b.earn()
	}
	for range mostSaved / placeCosts {
		if !b.spend() {
			t.Fatal("what was saved is gone")
		}
	}
	if b.spend() {
		t.Error("what was saved has no bound")
	}
}

func TestThePaceIsThe95thOfTheLatest(t *testing.T) {
	var p pace
	for range paceKnownAfter - 1 {
		p.note(time.Second)
	}
	if p.slow() != noPatienceYet {
		t.Error("known too early")
	}
	for i := range 1024 {
		took := 10 * time.Millisecond
		if i%10 == 0 {
			took = 90 * time.Millisecond
		}
		p.note(took)
	}
	if got := p.slow(); got != 90*time.Millisecond {
		t.Errorf("%v", got)
	}
	for range 1024 {
		p.note(time.Microsecond)
	}
	if got := p.slow(); got != leastPatience {
		t.Errorf("%v", got)
	}
}
