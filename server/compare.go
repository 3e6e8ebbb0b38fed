package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// The limits that the comments of CompareCalls state.
const (
	maxComparedCalls = 500
	maxLawFile       = 200 << 10
	maxLawName       = 128
)

// ledgerPause is how long a comparison steps aside while checks keep the ledger busy.
const ledgerPause = 10 * time.Millisecond

// CompareCalls decides calls as things stand and under a hypothesis, and counts the answers that differ. Both sides see one
// catalogue, one instant, and of each callee one record. Faulty calls are named in the answer; only what is wrong with the
// hypothesis or a whole message, or with the ledger, ends the stream.
func (a *audit) CompareCalls(
	stream grpc.ClientStreamingServer[belpoortv1.CompareCallsRequest, belpoortv1.CompareCallsResponse],
) error {
	c := &comparison{s: a.s, client: clientOf(stream.Context()), answers: map[answerPair]uint64{}}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) && c.supposed != nil {
			return stream.SendAndClose(c.response())
		}
		if errors.Is(err, io.EOF) {
			return missing("hypothesis")
		}
		if err != nil {
			return err
		}
		if err := c.take(stream.Context(), req); err != nil {
			return err
		}
	}
}

// comparison is one stream of calls that are decided twice.
type comparison struct {
	s             *Server
	client        *client
	now, supposed *inForce // supposed is nil until the hypothesis came
	at            time.Time
	next          uint64 // place of the next call in the stream
	answers       map[answerPair]uint64
	rejected      uint64
	rejections    []*belpoortv1.RejectedCall
}

// answerPair is how a call of a campaign is answered now and under the hypothesis.
type answerPair struct {
	campaign      string
	now, supposed headline
}

type headline struct {
	verdict eligibility.Verdict
	reason  eligibility.Reason
}

func (c *comparison) take(ctx context.Context, req *belpoortv1.CompareCallsRequest) error {
	h := req.GetHypothesis()
	switch {
	case c.supposed == nil && h == nil:
		return missing("hypothesis")
	case c.supposed != nil && h != nil:
		return invalid("hypothesis", "may only stand in the first message")
	case len(req.GetCalls()) > maxComparedCalls:
		return invalid("calls", "holds more than %d calls in one message", maxComparedCalls)
	}
	if h != nil {
		if err := c.suppose(h); err != nil {
			return err
		}
	}
	for _, call := range req.GetCalls() {
		if err := c.compare(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

// suppose reads the hypothesis, whole, and fixes what both sides have in common.
func (c *comparison) suppose(h *belpoortv1.Hypothesis) error {
	now := c.s.force.Load()
	at, err := c.s.instantOf(h.GetDialTime(), nobody)
	if err != nil {
		return invalid("hypothesis.dial_time", "must lie between 1970 and 2200")
	}
	var supposed *inForce
	switch change := h.GetChange().(type) {
	case *belpoortv1.Hypothesis_Policy:
		supposed, err = now.underPolicy(change.Policy, c.client)
	case *belpoortv1.Hypothesis_Law:
		supposed, err = c.s.underLaw(now, h.GetLawName(), change.Law)
	default:
		return missing("hypothesis.change")
	}
	if err != nil {
		return err
	}
	c.now, c.supposed, c.at = now, supposed, at
	return nil
}

// underPolicy is what is in force with settings laid over the policy of every campaign for which the client may act.
func (f *inForce) underPolicy(settings *structpb.Struct, client *client) (*inForce, error) {
	if len(settings.GetFields()) == 0 {
		return nil, missing("hypothesis.policy")
	}
	values := settings.AsMap()
	catalogue := *f.catalogue
	catalogue.Campaigns = make(map[string]*eligibility.Campaign, len(f.catalogue.Campaigns))
	over := map[*eligibility.Policy]*eligibility.Policy{} // campaigns without settings of their own share a policy
	for id, campaign := range f.catalogue.Campaigns {
		catalogue.Campaigns[id] = campaign
		if !client.mayActFor(campaign.Organisation.ID) {
			continue
		}
		policy := over[campaign.Policy]
		if policy == nil {
			var err error
			if policy, err = campaign.Policy.Override(values); err != nil {
				return nil, wrongSetting(err)
			}
			over[campaign.Policy] = policy
		}
		changed := *campaign
		changed.Policy = policy
		catalogue.Campaigns[id] = &changed
	}
	if len(over) == 0 { // the settings are read nevertheless
		if _, err := f.law.Defaults.Override(values); err != nil {
			return nil, wrongSetting(err)
		}
	}
	supposed := *f
	supposed.catalogue = &catalogue
	return &supposed, nil
}

func wrongSetting(err error) error {
	var wrong *eligibility.SettingError
	if errors.As(err, &wrong) {
		return invalid("hypothesis.policy."+clipped(wrong.Setting), "is wrong: %s", clipped(wrong.Problem))
	}
	return internal(err)
}

// underLaw is the catalogue in force as another law reads it: its settings are laid over that law's defaults.
func (s *Server) underLaw(now *inForce, name string, file []byte) (*inForce, error) {
	if name == "" {
		name = "law.yaml"
	}
	if err := printable("hypothesis.law_name", name, maxLawName); err != nil {
		return nil, err
	}
	if len(file) == 0 {
		return nil, missing("hypothesis.law")
	}
	if len(file) > maxLawFile {
		return nil, invalid("hypothesis.law", "is larger than %d bytes", maxLawFile)
	}
	law, err := s.parseLaw(name, file)
	if err != nil {
		return nil, invalid("hypothesis.law", "is wrong: %s", clipped(err.Error()))
	}
	supposed, err := readForce(now.message, law, now.position)
	var unfit *record.FieldError
	if errors.As(err, &unfit) {
		return nil, invalid("hypothesis.law", "does not fit the catalogue in force: %s %s", unfit.Field, unfit.Problem)
	}
	if err != nil {
		return nil, internal(err)
	}
	return supposed.under(now.states), nil
}

// clipped bounds how much of a client's own words an error repeats.
func clipped(s string) string {
	const most = 400
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// compare decides one call on both sides.
func (c *comparison) compare(ctx context.Context, m *belpoortv1.ComparedCall) error {
	place := c.next
	c.next++
	var call eligibility.Call
	callee, err := c.s.readCall(&call, c.now, callWords{
		callee: m.GetCallee(), campaign: m.GetCampaign(), callerID: m.GetCallerId(), person: m.GetPerson(),
	})
	if err == nil && !c.client.mayActFor(call.Campaign.Organisation.ID) {
		err = forbiddenOrganisation("campaign")
	}
	if err != nil {
		return c.reject(place, err)
	}
	e, err := c.known(ctx, c.s.ring.Token(callee))
	if err != nil {
		return err
	}
	pair := answerPair{campaign: call.Campaign.ID}
	pair.now = headlineOf(e, &call, c.now, c.at)
	at := c.at
	if mutantCompareTwoInstants {
		at = c.s.clock()
	}
	call.Campaign = c.supposed.catalogue.Campaigns[call.Campaign.ID]
	pair.supposed = headlineOf(e, &call, c.supposed, at)
	c.answers[pair]++
	return nil
}

func headlineOf(e *eligibility.Eligibility, call *eligibility.Call, force *inForce, at time.Time) headline {
	d := eligibility.Decide(e, call, force.catalogue, force.law, at)
	return headline{d.Verdict, d.Reason}
}

// known gives what is known about a callee, as a check would have it. A comparison has time: while checks keep the ledger
// busy it waits.
func (c *comparison) known(ctx context.Context, callee eligibility.CalleeToken) (*eligibility.Eligibility, error) {
	for ctx.Err() == nil {
		k, err := c.s.known(ctx, &question{token: callee})
		var f *failure
		switch {
		case errors.As(err, &f) && f.reason == ReasonLedgerBusy:
			pause(ctx, ledgerPause)
		case err != nil:
			return nil, err
		case k.refusalOnly != nil:
			return nil, k.refusalOnly
		case c.s.trusted(callee, k):
			return k.e, nil
		}
	}
	return nil, ledgerUnavailable(ctx.Err())
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reject names a faulty call in the answer; what is no fault of the call is returned.
func (c *comparison) reject(place uint64, err error) error {
	var f *failure
	if !errors.As(err, &f) || f.field == "" {
		return err
	}
	c.rejected++
	if len(c.rejections) < maxRejections {
		c.rejections = append(c.rejections, &belpoortv1.RejectedCall{Index: place, Field: f.field, Description: f.sentence})
	}
	return nil
}

func (c *comparison) response() *belpoortv1.CompareCallsResponse {
	m := &belpoortv1.CompareCallsResponse{
		Rejected: c.rejected, Rejections: c.rejections, DialTime: timestamppb.New(c.at), LawVersion: c.now.law.Version,
		HypothesisLawVersion: c.supposed.law.Version, CataloguePosition: c.now.position,
	}
	for pair, count := range c.answers {
		m.Calls += count
		if pair.now != pair.supposed {
			m.Changed += count
		}
		m.Answers = append(m.Answers, &belpoortv1.ComparedAnswer{
			Campaign: pair.campaign, Count: count,
			Verdict: belpoortv1.Verdict(pair.now.verdict), Reason: belpoortv1.Reason(pair.now.reason),
			HypothesisVerdict: belpoortv1.Verdict(pair.supposed.verdict), HypothesisReason: belpoortv1.Reason(pair.supposed.reason),
		})
	}
	slices.SortFunc(m.Answers, func(a, b *belpoortv1.ComparedAnswer) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.HypothesisVerdict, b.HypothesisVerdict), cmp.Compare(a.HypothesisReason, b.HypothesisReason))
	})
	return m
}
