package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// states are which campaigns are suspended, as one entry of the ledger says. They are immutable.
type states struct {
	position   uint64 // 0: none were ever recorded
	recordTime time.Time
	message    *belpoortv1.CampaignStates
}

// of is the suspension that stands for a campaign; nil for none.
func (st states) of(campaign string) *belpoortv1.CampaignSuspension {
	for _, s := range st.message.GetSuspended() {
		if s.GetCampaign() == campaign {
			return s
		}
	}
	return nil
}

// under is the same catalogue with the campaigns' states laid over it. A state of a campaign that it lacks has no effect.
func (f *inForce) under(st states) *inForce {
	g := *f
	g.states, g.catalogue = st, f.asApplied
	if len(st.message.GetSuspended()) == 0 {
		return &g
	}
	catalogue := *f.asApplied
	catalogue.Campaigns = maps.Clone(f.asApplied.Campaigns)
	for _, s := range st.message.GetSuspended() {
		if campaign := catalogue.Campaigns[s.GetCampaign()]; campaign != nil {
			suspended := *campaign
			suspended.Suspension = &eligibility.Suspension{
				Cause: eligibility.SuspensionCause(s.GetCause()), Reason: s.GetReason(), By: s.GetBy(), Since: s.GetSinceTime().AsTime(),
				Position: s.GetPosition(),
			}
			catalogue.Campaigns[s.GetCampaign()] = &suspended
		}
	}
	g.catalogue = &catalogue
	return &g
}

func readStates(entry Entry) (states, error) {
	m, err := record.UnmarshalStates(entry.Position, entry.Payload)
	return states{entry.Position, entry.RecordTime, m}, err
}

// statesAt are the campaigns' states as the ledger stood at a position; 0: as it stands.
func (s *Server) statesAt(ctx context.Context, position uint64) (states, error) {
	entry, found, err := s.facts.facts.LatestOfKind(ctx, record.KindCampaignStates, position)
	if err != nil {
		return states{}, ledgerUnavailable(err)
	}
	if !found {
		return states{}, nil
	}
	st, err := readStates(entry)
	if err != nil {
		return st, internal(err)
	}
	return st, nil
}

// refreshStates puts the ledger's newest states of campaigns in force, if they are not yet.
func (s *Server) refreshStates(ctx context.Context) error {
	entry, found, err := s.facts.latestOfKind(ctx, record.KindCampaignStates)
	if err != nil || !found || entry.Position <= s.force.Load().states.position {
		return err
	}
	st, err := readStates(entry)
	if err == nil {
		s.useStates(st)
	}
	return err
}

// useStates puts campaigns' states in force that stand in the ledger, unless newer ones are.
func (s *Server) useStates(st states) {
	s.applying.Lock()
	defer s.applying.Unlock()
	if now := s.force.Load(); st.position > now.states.position {
		s.force.Store(now.under(st))
	}
}

// maxStateRounds bounds how often a change is tried again because others change campaigns at the same time.
const maxStateRounds = 16

// changeStates records a change over the newest states that the ledger has, and puts it in force on this node.
// The key of the write names the states that it replaces, so that of several nodes one writes and the others look again.
// next gives nil where there is nothing to change.
func (s *Server) changeStates(
	ctx context.Context, reference string, next func(stood states) (*belpoortv1.CampaignStates, error),
) (position uint64, err error) {
	for range maxStateRounds {
		stood, err := s.statesAt(ctx, 0)
		if err != nil {
			return 0, err
		}
		m, err := next(stood)
		if err != nil {
			return 0, err
		}
		if m == nil {
			s.useStates(stood)
			return stood.position, nil
		}
		payload, err := record.MarshalStates(m)
		if err != nil {
			return 0, internal(err)
		}
		written, err := s.record(ctx, []Write{{
			RequestKey: statesKeys + strconv.FormatUint(stood.position, 10), Kind: record.KindCampaignStates, Reference: reference, Payload: payload,
		}})
		if errors.Is(err, ErrRequestReused) || errors.Is(err, ErrReferenceTaken) {
			continue
		}
		if err != nil {
			return 0, writeFailed(err)
		}
		return written[0].Position, s.putInForce(written[0], payload)
	}
	return 0, fail(codes.Aborted, ReasonStatesBusy, "campaigns are suspended and resumed faster than this change could be recorded; repeat it")
}

func (s *Server) putInForce(w Written, payload []byte) error {
	st, err := readStates(Entry{Position: w.Position, RecordTime: w.RecordTime, Payload: payload})
	if err != nil {
		return internal(err)
	}
	s.useStates(st)
	if c := st.message.GetChange(); c != nil {
		s.noteChange(c, w.Position)
	}
	return nil
}

func (s *Server) noteChange(c *belpoortv1.CampaignChange, position uint64) {
	sentence := "campaign runs again"
	if c.GetSuspended() {
		sentence = "campaign suspended"
	}
	s.log.Warn(sentence, zap.String("campaign", c.GetCampaign()), zap.Stringer("cause", eligibility.SuspensionCause(c.GetCause())),
		zap.String("because", c.GetReason()), zap.String("by", c.GetBy()), zap.Uint64("position", position))
}

// changed is a copy of the states with one change in them.
func (st states) changed(c *belpoortv1.CampaignChange) *belpoortv1.CampaignStates {
	m := &belpoortv1.CampaignStates{Change: c}
	for _, s := range st.message.GetSuspended() {
		if s.GetCampaign() != c.GetCampaign() {
			m.Suspended = append(m.Suspended, s)
		}
	}
	if c.GetSuspended() {
		m.Suspended = append(m.Suspended, &belpoortv1.CampaignSuspension{
			Campaign: c.GetCampaign(), Cause: c.GetCause(), Reason: c.GetReason(), By: c.GetBy(), SinceTime: c.GetChangeTime(),
		})
	}
	slices.SortFunc(m.Suspended, func(a, b *belpoortv1.CampaignSuspension) int {
		return strings.Compare(a.GetCampaign(), b.GetCampaign())
	})
	for _, d := range st.message.GetOwing() {
		if !c.GetWrittenOff() || d.GetCampaign() != c.GetCampaign() {
			m.Owing = append(m.Owing, d)
		}
	}
	return m
}

// maxReason bounds the words with which somebody suspends or resumes a campaign, in bytes.
const maxReason = 500

// change reads what somebody asks for a campaign.
func (s *Server) change(ctx context.Context, campaign, reason, requestID string) (*belpoortv1.CampaignChange, *eligibility.Campaign, error) {
	if err := firstError(needed("campaign", campaign, maxName), needed("reason", reason, maxReason), printable("reason", reason, maxReason),
		printable("request_id", requestID, maxRequestID)); err != nil {
		return nil, nil, err
	}
	known := s.force.Load().catalogue.Campaigns[campaign]
	if known == nil {
		return nil, nil, unknownCampaign("campaign")
	}
	c := clientOf(ctx)
	if !c.mayActFor(known.Organisation.ID) {
		return nil, nil, forbiddenOrganisation("campaign")
	}
	return &belpoortv1.CampaignChange{
		Campaign: campaign, Cause: belpoortv1.SuspensionCause_SUSPENSION_CAUSE_OFFICER, Reason: reason, By: c.id, RequestId: requestID,
	}, known, nil
}

// carryOutChange makes a change that somebody asked for, once for each request id.
func (s *Server) carryOutChange(
	ctx context.Context, c *belpoortv1.CampaignChange, next func(stood states) (*belpoortv1.CampaignStates, error),
) (uint64, error) {
	reference := ""
	if c.GetRequestId() != "" {
		reference = statesKeys + c.GetBy() + "/" + c.GetRequestId()
	}
	return carryOut(ctx, s, func(ctx context.Context) (uint64, error) {
		var first uint64
		position, err := s.changeStates(ctx, reference, func(stood states) (*belpoortv1.CampaignStates, error) {
			var err error
			if first, err = s.madeBefore(ctx, reference, c); err != nil || first != 0 {
				return nil, err
			}
			c.ChangeTime = timestamppb.New(later(s.clock(), stood.recordTime))
			return next(stood)
		})
		if err != nil {
			return 0, err
		}
		err = s.settle(ctx, position)
		if first != 0 {
			return first, err
		}
		return position, err
	})
}

// madeBefore finds the position of a change that was made under the same reference; 0 for none.
func (s *Server) madeBefore(ctx context.Context, reference string, c *belpoortv1.CampaignChange) (uint64, error) {
	if reference == "" {
		return 0, nil
	}
	entry, err := s.facts.facts.ByReference(ctx, reference)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, ledgerUnavailable(err)
	}
	st, err := readStates(entry)
	if err != nil {
		return 0, internal(err)
	}
	was := st.message.GetChange()
	if was.GetCampaign() != c.GetCampaign() || was.GetSuspended() != c.GetSuspended() || was.GetReason() != c.GetReason() {
		return 0, requestReused()
	}
	return entry.Position, nil
}

// SuspendCampaign stops a campaign until somebody resumes it.
func (c *catalogues) SuspendCampaign(
	ctx context.Context, req *belpoortv1.SuspendCampaignRequest,
) (*belpoortv1.SuspendCampaignResponse, error) {
	change, _, err := c.s.change(ctx, req.GetCampaign(), req.GetReason(), req.GetRequestId())
	if err != nil {
		return nil, err
	}
	change.Suspended = true
	position, err := c.s.carryOutChange(ctx, change, func(stood states) (*belpoortv1.CampaignStates, error) {
		return stood.changed(change), nil
	})
	if err != nil {
		return nil, err
	}
	return &belpoortv1.SuspendCampaignResponse{Position: position}, nil
}

// ResumeCampaign lets a campaign run again and writes off its overdue offers.
func (c *catalogues) ResumeCampaign(
	ctx context.Context, req *belpoortv1.ResumeCampaignRequest,
) (*belpoortv1.ResumeCampaignResponse, error) {
	change, campaign, err := c.s.change(ctx, req.GetCampaign(), req.GetReason(), req.GetRequestId())
	if err != nil {
		return nil, err
	}
	change.WrittenOff, change.OfferDeadline = true, durationpb.New(campaign.Policy.OfferDeadline)
	position, err := c.s.carryOutChange(ctx, change, func(stood states) (*belpoortv1.CampaignStates, error) {
		standing := stood.of(campaign.ID)
		if standing == nil {
			return nil, notSuspended(campaign)
		}
		change.Cause = standing.GetCause()
		return stood.changed(proto.CloneOf(change)), nil
	})
	if err != nil {
		return nil, err
	}
	return &belpoortv1.ResumeCampaignResponse{Position: position}, nil
}

func notSuspended(campaign *eligibility.Campaign) error {
	if campaign.Suspended {
		return &failure{codes.FailedPrecondition, ReasonCampaignRuns, "campaign",
			"campaign is suspended by the catalogue itself: apply one in which it is not", nil}
	}
	return &failure{codes.FailedPrecondition, ReasonCampaignRuns, "campaign", "campaign is not suspended", nil}
}
