package server

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

func (n *node) applyAs(client string, req *belpoortv1.ApplyCatalogueRequest) (*belpoortv1.ApplyCatalogueResponse, error) {
	return belpoortv1.NewCatalogueServiceClient(n.conn).ApplyCatalogue(n.as(client), req)
}

func (n *node) catalogueAt(client string, position uint64) (*belpoortv1.GetCatalogueResponse, error) {
	return belpoortv1.NewCatalogueServiceClient(n.conn).GetCatalogue(n.as(client), &belpoortv1.GetCatalogueRequest{Position: position})
}

func TestACatalogueIsAppliedOnce(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	_, err := n.catalogueAt("ops-all", 0)
	wantError(t, "none yet", err, codes.NotFound, ReasonNoCatalogue, "")
	first, second := testCatalogue(), testCatalogue()
	second.Campaigns[0].Suspended = true
	one := n.apply(first)
	again, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: first})
	if err != nil || !again.GetUnchanged() || again.GetPosition() != one {
		t.Errorf("again: %v, %v", again, err)
	}
	two := n.apply(second)
	back := n.apply(first) // was in force before, and comes back
	if one >= two || two >= back {
		t.Errorf("positions %d, %d, %d", one, two, back)
	}
	for position, want := range map[uint64]*belpoortv1.Catalogue{0: first, one: first, two: second, back: first} {
		got, err := n.catalogueAt("compliance-all", position)
		if err != nil || !proto.Equal(got.GetCatalogue(), want) || position != 0 && got.GetPosition() != position {
			t.Errorf("at %d: %v, %v", position, got, err)
		}
	}
}

func TestACatalogueSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		n := newNode(t, dir, nil)
		n.start()
		n.apply(testCatalogue())
	})
	n := newNode(t, dir, nil)
	n.start()
	if got, err := n.catalogueAt("ops-all", 0); err != nil || !proto.Equal(got.GetCatalogue(), testCatalogue()) {
		t.Errorf("after a restart: %v, %v", got, err)
	}
}

func TestWhoAppliesOverAnotherCatalogueIsTold(t *testing.T) {
	n := startNode(t, nil)
	changed := testCatalogue()
	changed.Campaigns[0].Product = "gas"
	_, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: changed, ExpectedPosition: 99})
	wantError(t, "not the expected one", err, codes.Aborted, ReasonCatalogueMoved, "")
	dry, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: changed, ExpectedPosition: 1, DryRun: true})
	if err != nil || dry.GetPosition() != 1 {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	if got, _ := n.catalogueAt("ops-all", 0); !proto.Equal(got.GetCatalogue(), testCatalogue()) {
		t.Error("a dry run or a refusal changed the catalogue")
	}
	done, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: changed, ExpectedPosition: 1, RequestId: "q"})
	if err != nil || done.GetPosition() != 2 {
		t.Errorf("%v, %v", done, err)
	}
	repeat, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: changed, ExpectedPosition: 1, RequestId: "q"})
	if err != nil || repeat.GetPosition() != 2 {
		t.Errorf("a repeat whose first answer was lost: %v, %v", repeat, err)
	}
	_, err = n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: testCatalogue(), RequestId: "q"})
	wantError(t, "the same id", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
}

func TestBadCataloguesChangeNothing(t *testing.T) {
	n := startNode(t, nil)
	for _, c := range []struct {
		field string
		spoil func(*belpoortv1.Catalogue)
	}{
		{"catalogue.campaigns[1].organisation", func(m *belpoortv1.Catalogue) { m.Campaigns[1].Organisation = "nobody" }},
		{"catalogue.caller_ids[0].organisation", func(m *belpoortv1.Catalogue) { m.CallerIds[0].Organisation = "nobody" }},
		{"catalogue.organisations[1].id", func(m *belpoortv1.Catalogue) { m.Organisations[1].Id = "acme" }},
		{"catalogue.campaigns[1].id", func(m *belpoortv1.Catalogue) { m.Campaigns[1].Id = "acme-x" }},
		{"catalogue.caller_ids[0].number", func(m *belpoortv1.Catalogue) { m.CallerIds[0].Number = "nul" }},
		{"catalogue.caller_ids[100].number", func(m *belpoortv1.Catalogue) {
			m.CallerIds = m.CallerIds[:1]
			for len(m.CallerIds) <= 100 {
				m.CallerIds = append(m.CallerIds, m.CallerIds[0])
			}
		}},
		{"catalogue", func(m *belpoortv1.Catalogue) {
			for len(m.CallerIds) < 3000 {
				m.CallerIds = append(m.CallerIds, &belpoortv1.CallerId{PublishedUrl: strings.Repeat("x", 75)})
			}
		}},
	} {
		m := testCatalogue()
		c.spoil(m)
		_, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: m})
		wantError(t, c.field, err, codes.InvalidArgument, ReasonFieldInvalid, c.field)
	}
	_, err := n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{})
	wantError(t, "none", err, codes.InvalidArgument, ReasonFieldMissing, "catalogue")
	_, err = n.applyAs("ops-acme", &belpoortv1.ApplyCatalogueRequest{Catalogue: &belpoortv1.Catalogue{}})
	wantError(t, "a key for one organisation", err, codes.PermissionDenied, ReasonOrganisationForbidden, "")
	_, err = n.catalogueAt("ops-acme", 0)
	wantError(t, "a key for one organisation", err, codes.PermissionDenied, ReasonOrganisationForbidden, "")
	if got, _ := n.catalogueAt("ops-all", 0); !proto.Equal(got.GetCatalogue(), testCatalogue()) || got.GetPosition() != 1 {
		t.Errorf("bad input changed the catalogue: %v", got)
	}
	if head, _ := n.door.ledger.Head(t.Context()); head != 1 {
		t.Errorf("bad input wrote %d facts", head-1)
	}
}

// A new law is in force from the next request on, with the catalogue read under it; a wrong one leaves the last good one.
func TestANewLawIsTakenUp(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	next := *dutchLaw()
	next.Version = "next"
	stricter, err := next.Defaults.Override(map[string]any{"hours": "Mon-Fri 09:00-12:00"})
	if err != nil {
		t.Fatal(err)
	}
	next.Defaults = *stricter
	if err := n.UseLaw(&next); err != nil {
		t.Fatal(err)
	}
	answer := n.mustCheck(callee)
	n.wants(answer, eligibility.Defer, eligibility.Hours)
	if answer.GetLawVersion() != "next" {
		t.Errorf("law version %q", answer.GetLawVersion())
	}
	wrong := *dutchLaw()
	wrong.Version, wrong.Regimes = "wrong", wrong.Regimes[:1]
	if err := n.UseLaw(&wrong); err == nil {
		t.Error("a law without the rule of today was taken up")
	}
	if answer := n.mustCheck(callee); answer.GetLawVersion() != "next" {
		t.Errorf("after a wrong law: version %q", answer.GetLawVersion())
	}
}

// What was erased cannot be taken into account, so nothing is allowed.
func TestAnErasedFactAllowsNothing(t *testing.T) {
	if _, _, err := factsOf([]Entry{{Position: 1, Kind: 2, Erased: true}}); !errors.Is(err, errErased) {
		t.Errorf("erased: %v", err)
	}
	if _, _, err := factsOf([]Entry{{Position: 1, Kind: 2, Payload: []byte{0xff}}}); !errors.Is(err, record.ErrPayload) {
		t.Errorf("damaged: %v", err)
	}
}

// Whoever applies catalogues may keep the canaries, and needs the compliance role to change them.
// The mutant mutant_canary_by_anybody must fail here.
func TestOnlyComplianceDeclaresCanaries(t *testing.T) {
	n := startNode(t, nil)
	apply := func(client string, m *belpoortv1.Catalogue) error {
		_, err := belpoortv1.NewCatalogueServiceClient(n.conn).ApplyCatalogue(n.as(client), &belpoortv1.ApplyCatalogueRequest{Catalogue: m})
		return err
	}
	with := testCatalogue()
	with.Canaries = []*belpoortv1.Canary{{Number: "+31858889990", Campaign: "acme-x", CallerId: "+31201234567"}}
	wantError(t, "declared by ops", apply("ops-all", with), codes.PermissionDenied, ReasonRoleForbidden, "catalogue.canaries")
	if err := apply("ops-compliance", with); err != nil {
		t.Fatal(err)
	}
	with.Campaigns[0].Suspended = true
	if err := apply("ops-all", with); err != nil {
		t.Errorf("canaries left as they are: %v", err)
	}
	with.Canaries = nil
	wantError(t, "taken away by ops", apply("ops-all", with), codes.PermissionDenied, ReasonRoleForbidden, "catalogue.canaries")
}
