package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/debt"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// judge suspends campaigns that owe too much and lets those run again that do not any more, unless an officer stopped
// them. Every node judges, and the first to write settles it: the others find it done.
func (d *debts) judge(ctx context.Context) error {
	force := d.s.force.Load()
	all, now, _ := d.figures(force)
	d.s.metrics.ShowCampaigns(gaugesOf(all, force))
	for _, s := range force.states.message.GetSuspended() {
		if all[s.GetCampaign()] == nil {
			all[s.GetCampaign()] = &debt.Figures{}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if campaign := force.catalogue.Campaigns[name]; campaign != nil {
			if err := d.judgeOne(ctx, campaign, all[name], now); err != nil {
				return err
			}
		}
	}
	return d.rememberOld(ctx, all, now)
}

func (d *debts) judgeOne(ctx context.Context, campaign *eligibility.Campaign, f *debt.Figures, now time.Time) error {
	cause := f.Cause(campaign.Policy)
	if settled(d.s.force.Load().states.of(campaign.ID), cause) {
		return nil
	}
	return d.change(ctx, func(stood states) *belpoortv1.CampaignStates {
		if settled(stood.of(campaign.ID), cause) {
			return nil
		}
		return next(stood, campaign.ID, cause, f, now)
	})
}

// settled reports whether a campaign's state is what its figures ask for. What an officer suspended stays so.
func settled(was *belpoortv1.CampaignSuspension, cause eligibility.SuspensionCause) bool {
	officer := was.GetCause() == belpoortv1.SuspensionCause_SUSPENSION_CAUSE_OFFICER
	return was.GetCause() == belpoortv1.SuspensionCause(cause) || officer && !mutantOfficerOverruled
}

func next(stood states, name string, cause eligibility.SuspensionCause, f *debt.Figures, now time.Time) *belpoortv1.CampaignStates {
	c := &belpoortv1.CampaignChange{
		Campaign: name, Suspended: cause != 0, Cause: belpoortv1.SuspensionCause(cause), Reason: tell(cause, f),
		ChangeTime: timestamppb.New(later(now, stood.recordTime)),
	}
	if cause == 0 {
		c.Cause, c.Reason = stood.of(name).GetCause(), "within the limit again"
	}
	m := stood.changed(c)
	m.Owing = without(m.GetOwing(), name)
	if cause == eligibility.OfferDebt {
		m.Owing = append(m.Owing, &belpoortv1.CampaignDebt{Campaign: name, OldestTime: timestamppb.New(f.Oldest)})
		slices.SortFunc(m.Owing, byCampaign)
	}
	return m
}

// tell says in figures why a campaign is suspended.
func tell(cause eligibility.SuspensionCause, f *debt.Figures) string {
	if cause == eligibility.AbandonedShare {
		return fmt.Sprintf("%d of %d calls abandoned in 24 hours", f.Abandoned, f.AnsweredOrAbandoned)
	}
	return fmt.Sprintf("%d offers of objection overdue, %d calls answered in 24 hours", f.Overdue, f.Answered)
}

// change writes states over those that the book knows: over newer ones the figures may be wrong, and are looked at again
// when the book has them too.
func (d *debts) change(ctx context.Context, make func(stood states) *belpoortv1.CampaignStates) error {
	d.mu.Lock()
	known := d.states
	d.mu.Unlock()
	var over uint64
	position, err := carryOut(ctx, d.s, func(ctx context.Context) (uint64, error) {
		ctx, cancel := context.WithTimeout(ctx, readPatience)
		defer cancel()
		return d.s.changeStates(ctx, "", func(stood states) (*belpoortv1.CampaignStates, error) {
			if over = stood.position; over != known {
				return nil, nil
			}
			return make(stood), nil
		})
	})
	if err != nil || over != known {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states = max(d.states, position) // this node's own change tells the book nothing new
	return nil
}

// oldDebt is the age from which a debt is put on record, so that a node that starts finds it: long before Horizon ends.
const oldDebt = debt.Horizon - 24*time.Hour

// rememberOld keeps on record from where the ledger must be read for debts that are old.
func (d *debts) rememberOld(ctx context.Context, all map[string]*debt.Figures, now time.Time) error {
	stood := d.s.force.Load().states
	owing := owingNow(stood.message.GetOwing(), all, now, stood)
	if slices.EqualFunc(owing, stood.message.GetOwing(), func(a, b *belpoortv1.CampaignDebt) bool {
		return a.GetCampaign() == b.GetCampaign() && a.GetOldestTime().AsTime().Equal(b.GetOldestTime().AsTime())
	}) {
		return nil
	}
	return d.change(ctx, func(stood states) *belpoortv1.CampaignStates {
		return &belpoortv1.CampaignStates{
			Suspended: stood.message.GetSuspended(), Owing: owingNow(stood.message.GetOwing(), all, now, stood),
		}
	})
}

// owingNow is what should be on record. It changes seldom: an entry may be older than its debt by a day.
func owingNow(
	was []*belpoortv1.CampaignDebt, all map[string]*debt.Figures, now time.Time, stood states,
) (owing []*belpoortv1.CampaignDebt) {
	onRecord := map[string]time.Time{}
	for _, o := range was {
		onRecord[o.GetCampaign()] = o.GetOldestTime().AsTime()
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		oldest := all[name].Oldest
		if oldest.IsZero() || now.Sub(oldest) < oldDebt && stood.of(name) == nil {
			continue
		}
		if at, is := onRecord[name]; is && !at.After(oldest) && oldest.Sub(at) < 24*time.Hour {
			oldest = at
		}
		owing = append(owing, &belpoortv1.CampaignDebt{Campaign: name, OldestTime: timestamppb.New(oldest)})
	}
	return owing
}

func byCampaign(a, b *belpoortv1.CampaignDebt) int {
	return strings.Compare(a.GetCampaign(), b.GetCampaign())
}

func without(owing []*belpoortv1.CampaignDebt, name string) []*belpoortv1.CampaignDebt {
	return slices.DeleteFunc(slices.Clone(owing), func(d *belpoortv1.CampaignDebt) bool { return d.GetCampaign() == name })
}

// gaugesOf shows the campaigns that the catalogue has.
func gaugesOf(all map[string]*debt.Figures, force *inForce) []ops.Campaign {
	var list []ops.Campaign
	for id, c := range force.catalogue.Campaigns {
		g := ops.Campaign{ID: id}
		if f := all[id]; f != nil {
			g.Owed, g.Overdue = f.Owed, f.Overdue
		}
		if c.Suspension != nil {
			g.Suspended = c.Suspension.Cause.String()
		} else if c.Suspended {
			g.Suspended = "CATALOGUE"
		}
		list = append(list, g)
	}
	return list
}

// readAgain brings the book up to what this node has answered, unless the ledger is still being read for the first time.
func (d *debts) readAgain(ctx context.Context) error {
	d.mu.Lock()
	caughtUp := d.caughtUp
	d.mu.Unlock()
	if !caughtUp {
		return nil
	}
	if err := d.s.awaitShipped(ctx); err != nil {
		return err
	}
	if err := d.read(ctx); err != nil {
		return ledgerUnavailable(err)
	}
	return nil
}

// ListCampaigns shows how campaigns stand.
func (c *catalogues) ListCampaigns(
	ctx context.Context, req *belpoortv1.ListCampaignsRequest,
) (*belpoortv1.ListCampaignsResponse, error) {
	if err := short("campaign", req.GetCampaign(), maxName); err != nil {
		return nil, err
	}
	if err := c.s.debts.readAgain(ctx); err != nil {
		return nil, err
	}
	force := c.s.force.Load()
	if name := req.GetCampaign(); name != "" && force.catalogue.Campaigns[name] == nil {
		return nil, unknownCampaign("campaign")
	}
	all, now, caughtUp := c.s.debts.figures(force)
	answer := &belpoortv1.ListCampaignsResponse{AsOfTime: timestamppb.New(now), StatesPosition: force.states.position, Reading: !caughtUp}
	for _, name := range slices.Sorted(maps.Keys(force.catalogue.Campaigns)) {
		campaign := force.catalogue.Campaigns[name]
		if (req.GetCampaign() == "" || req.GetCampaign() == name) && clientOf(ctx).mayActFor(campaign.Organisation.ID) {
			answer.Campaigns = append(answer.Campaigns, standingOf(campaign, all[name], force))
		}
	}
	return answer, nil
}

func standingOf(campaign *eligibility.Campaign, f *debt.Figures, force *inForce) *belpoortv1.CampaignStanding {
	if f == nil {
		f = &debt.Figures{}
	}
	return &belpoortv1.CampaignStanding{
		Campaign: campaign.ID, Organisation: campaign.Organisation.ID, Permits: uint32(f.Permits), Answered: uint32(f.Answered),
		OffersPaid: uint32(f.OffersPaid), OffersOwed: uint32(f.Owed), OffersOverdue: uint32(f.Overdue),
		OldestOverdueTime: record.Stamp(f.Oldest), Objections: uint32(f.Objections), Abandoned: uint32(f.Abandoned),
		AnsweredOrAbandoned: uint32(f.AnsweredOrAbandoned), AbandonedShare: f.Share(), SuspendedInCatalogue: campaign.Suspended,
		Suspension: force.states.of(campaign.ID),
	}
}
