package doors

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func told(t *testing.T, pairs ...string) Fields {
	t.Helper()
	f := Fields{}
	for i := 0; i < len(pairs); i += 2 {
		if err := f.Add(StandardNames(), pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestNamesOfManySystemsMeanOneField(t *testing.T) {
	f := told(t, "phoneNumber", "0101234501", "CAMPAIGN-ID", "c", "CallSid", "CA1", "Digits", "9", "recording_id", "r", "somethingElse", "x", "lead_id", "7")
	want := Fields{Callee: "0101234501", Campaign: "c", CallID: "CA1", Digit: "9", Recording: "r", Lead: "7"}
	if len(f) != len(want) {
		t.Errorf("%v", f)
	}
	for field, value := range want {
		if f[field] != value {
			t.Errorf("%s is %q, want %q", field, f[field], value)
		}
	}
}

func TestAFieldToldTwiceIsAnErrorThatNamesIt(t *testing.T) {
	f := told(t, "phone", "0101234501")
	err := f.Add(StandardNames(), "phone_number", "0101234502")
	if trouble, ok := errors.AsType[*Trouble](err); !ok || trouble.Field != "callee" || trouble.Reason != ReasonTwice || trouble.Code != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "0101234502") {
		t.Errorf("the error shows a number: %v", err)
	}
}

func TestNamesCanBeAdded(t *testing.T) {
	n, err := StandardNames().With(map[string][]string{"callee": {"Klant_Nummer"}})
	if err != nil {
		t.Fatal(err)
	}
	f := Fields{}
	if err := f.Add(n, "klantnummer", "1"); err != nil || f[Callee] != "1" {
		t.Errorf("%v, %v", f, err)
	}
	for want, more := range map[string]map[string][]string{
		"there is no such field":       {"calle": {"x"}},
		`"Digits" means digit already`: {"callee": {"Digits"}},
		"want a name":                  {"callee": {"_"}},
	} {
		if _, err := StandardNames().With(more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestAPlusThatArrivesAsASpaceIsAPlus(t *testing.T) {
	for value, want := range map[string]string{" 31101234501": "+31101234501", "+31101234501": "+31101234501", " 0101234501": " 0101234501", " ": " "} {
		if got := (Fields{Callee: value}).number(Callee); got != want {
			t.Errorf("%q is read as %q, want %q", value, got, want)
		}
	}
}

func TestWhoObjectsIsTheOtherParty(t *testing.T) {
	for want, pairs := range map[string][]string{
		"callee":        {"callee", "1", "From", "2", "To", "3"},
		"to 3":          {"From", "2", "To", "3", "Direction", "outbound-api"},
		"from 2":        {"From", "2", "To", "3", "Direction", "inbound"},
		"from only":     {"From", "2"},
		"to only":       {"To", "3"},
		"direction ???": {"From", "2", "To", "3"},
	} {
		field, _, err := told(t, pairs...).theirs()
		if name, _, _ := strings.Cut(want, " "); string(field) != name || (err != nil) != (name == "direction") {
			t.Errorf("%v: %s, %v, want %s", pairs, field, err, want)
		}
	}
}

func TestACheckIsAboutTheOneCalled(t *testing.T) {
	request, err := checkOf(told(t, "From", "0501234567", "To", "0101234501", "campaign", "c", "mode", "automated", "dialing", "Preview"))
	if err != nil || request.GetCallee() != "0101234501" || request.GetCallerId() != "0501234567" ||
		request.GetMode() != belpoortv1.Mode_MODE_AUTOMATED || request.GetDialing() != belpoortv1.Dialing_DIALING_PREVIEW {
		t.Errorf("%v, %v", request, err)
	}
	_, err = checkOf(told(t, "mode", "robot"))
	if trouble, ok := errors.AsType[*Trouble](err); !ok || trouble.Field != "mode" || trouble.Sentence != "mode must be one of AUTOMATED, HUMAN" {
		t.Errorf("%v", err)
	}
}

// silent is a service that implements nothing: every question ends in an error.
func silent(t *testing.T) *Gate {
	t.Helper()
	pipe := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	belpoortv1.RegisterGatekeeperServiceServer(s, belpoortv1.UnimplementedGatekeeperServiceServer{})
	belpoortv1.RegisterObjectionServiceServer(s, belpoortv1.UnimplementedObjectionServiceServer{})
	go func() { _ = s.Serve(pipe) }()
	conn, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Stop() })
	return NewGate(conn, "test")
}

func TestAnErrorIsNeverAnAnswer(t *testing.T) {
	g := silent(t)
	answer, err := g.Check(t.Context(), "k", told(t, "callee", "0101234501", "campaign", "c"))
	if answer.Allowed() || answer != nil {
		t.Errorf("answer %+v", answer)
	}
	if trouble, ok := errors.AsType[*Trouble](err); !ok || trouble.Code != codes.Unimplemented {
		t.Errorf("%v", err)
	}
	objected, err := g.Object(t.Context(), "k", told(t, "callee", "0101234501", "campaign", "c"))
	if _, ok := errors.AsType[*Trouble](err); !ok || objected != nil {
		t.Errorf("%+v, %v", objected, err)
	}
}

func TestOnlyAnAllowWithItsPermitIsAYes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, m := range []*belpoortv1.CheckCallResponse{
		{}, {Verdict: belpoortv1.Verdict_VERDICT_ALLOW}, {Permit: "p"},
	} {
		if a, err := answerOf(m, now); err == nil || a.Allowed() {
			t.Errorf("%v is answered %+v", m, a)
		}
	}
	for _, m := range []*belpoortv1.CheckCallResponse{
		{Verdict: belpoortv1.Verdict_VERDICT_DENY, Permit: "p"}, {Verdict: 99, Permit: "p"}, {Verdict: belpoortv1.Verdict_VERDICT_DEFER, Permit: "p"},
	} {
		if a, err := answerOf(m, now); err != nil || a.Allowed() {
			t.Errorf("%v is answered %+v, %v", m, a, err)
		}
	}
	a, err := answerOf(&belpoortv1.CheckCallResponse{
		Verdict: belpoortv1.Verdict_VERDICT_DEFER, Reason: belpoortv1.Reason_REASON_HOURS, RetryTime: timestamppb.New(now.Add(90*time.Second + 1)),
	}, now)
	if err != nil || a.Verdict != "DEFER" || a.Reason != "HOURS" || a.RetryAfter != 91 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := answerOf(&belpoortv1.CheckCallResponse{Verdict: belpoortv1.Verdict_VERDICT_ALLOW, Permit: "p"}, now); err != nil || !a.Allowed() {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestOnlyWhatIsInForceIsSaidToBe(t *testing.T) {
	const receipt = "4K7Q-9T2M-8XRC"
	o, err := objectedOf(receipt, belpoortv1.ObjectionState_OBJECTION_STATE_PENDING, time.Now())
	if err != nil || o.InForce || strings.Contains(o.Sentence("en"), "from now on") || strings.Contains(o.Sentence("nl"), "vanaf nu") {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := objectedOf(receipt, 0, time.Now()); err == nil {
		t.Error("an answer without a state is taken for one")
	}
	if o, err := objectedOf(receipt, belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE, time.Now()); err != nil || !o.InForce || !strings.Contains(o.Sentence("nl"), "vanaf nu") {
		t.Errorf("%+v, %v", o, err)
	}
	if got := Aloud("4K7Q-9T2M"); got != "4 K 7 Q, 9 T 2 M" {
		t.Errorf("%q", got)
	}
}

func TestARepeatFromOneCallIsOneObjection(t *testing.T) {
	id := func(pairs ...string) string { return requestIDOf(told(t, pairs...)) }
	if id("CallSid", "CA1", "campaign", "c") != id("call_id", "CA1", "campaign", "c") {
		t.Error("one call, two ids")
	}
	if lead := id("lead_id", "1"); id("CallSid", "CA1") == id("CallSid", "CA2") || lead == id("lead_id", "1") {
		t.Error("two calls, one id")
	}
	if strings.Contains(id("uniqueid", "0101234501"), "0101234501") || id("request_id", "r") != "r" {
		t.Error("the id shows the call's, or is not the asker's")
	}
}

func TestAPersonIsNamedInOneWay(t *testing.T) {
	for _, one := range []struct {
		told                        []string
		objection, offer, ambiguous string
	}{
		{[]string{"permit", "p", "phone", "1", "CallSid", "C"}, "permit", "permit", ""},
		{[]string{"phone", "1", "CallSid", "C", "lead_id", "7"}, "callee", "call", ""},
		{[]string{"From", "1", "To", "2", "CallSid", "C"}, "call", "call", ""},
		{[]string{"phone", "1", "lead_id", "7"}, "callee", "callee", ""},
		{[]string{"lead_id", "7"}, "call", "call", ""},
		{[]string{"From", "1", "To", "2"}, "", "", ReasonAmbiguous},
		{nil, "", "", ReasonMissing},
	} {
		for offer, want := range map[bool]string{false: one.objection, true: one.offer} {
			permit, callee, call, err := told(t, one.told...).whose(offer)
			ways := map[string]string{"permit": permit, "callee": callee, "call": call}
			for way, value := range ways {
				if (value != "") != (way == want) {
					t.Errorf("%v, offer %v: %v", one.told, offer, ways)
				}
			}
			if trouble, _ := errors.AsType[*Trouble](err); (trouble == nil) != (one.ambiguous == "") || trouble != nil && trouble.Reason != one.ambiguous {
				t.Errorf("%v: %v", one.told, err)
			}
		}
	}
}

func TestAnOfferIsToldAsItWasRecorded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	type answer = belpoortv1.RecordObjectionOfferResponse
	objected := belpoortv1.OfferResult_OFFER_RESULT_OBJECTED
	for _, m := range []*answer{{}, {Result: objected, Position: 1}, {Result: objected, Position: 1, Receipt: "r"}, {Meaning: belpoortv1.IvrDigit_MEANING_OBJECT}} {
		if o, err := offeredOf(m, now); err == nil {
			t.Errorf("%v is told as %+v", m, o)
		}
	}
	o, err := offeredOf(&answer{Meaning: belpoortv1.IvrDigit_MEANING_OBJECT, Receipt: "r", ObjectionState: belpoortv1.ObjectionState_OBJECTION_STATE_PENDING}, now)
	if err != nil || o.Objection == nil || o.Objection.InForce {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = offeredOf(&answer{Result: belpoortv1.OfferResult_OFFER_RESULT_NO_INPUT, Position: 4}, now)
	if err != nil || o.Objection != nil || o.Result != "NO_INPUT" {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = offeredOf(&answer{Meaning: belpoortv1.IvrDigit_MEANING_REPEAT}, now)
	if err != nil || o.Result != "" || o.Meaning != "REPEAT" {
		t.Errorf("%+v, %v", o, err)
	}
}
