package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/callerid"
	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// inForce is a catalogue as one law reads it. It is immutable and swapped whole.
type inForce struct {
	law       *eligibility.Law
	catalogue *eligibility.Catalogue
	message   *belpoortv1.Catalogue
	payload   []byte
	position  uint64 // 0: none was ever applied
	states    states // laid over the catalogue
	asApplied *eligibility.Catalogue
}

// newRegister makes the register of caller IDs; what is wrong with one is named by its path in the catalogue.
func newRegister(list []record.Registration) (eligibility.CallerIDRegister, error) {
	registrations := make([]callerid.Registration, len(list))
	for i := range list {
		registrations[i] = callerid.Registration(list[i])
	}
	register, err := callerid.NewRegister(registrations)
	var wrong *callerid.RegistrationError
	if errors.As(err, &wrong) {
		field := fmt.Sprintf("catalogue.caller_ids[%d].%s", wrong.Index, wireNames[wrong.Field])
		return nil, &record.FieldError{Field: field, Problem: wrong.Problem}
	}
	if err != nil {
		return nil, err
	}
	return register, nil
}

// wireNames gives the fields of a registration the names that they have on the wire.
var wireNames = map[string]string{
	"number": "number", "organisation": "organisation", "published_url": "published_url",
	"valid_from": "valid_from_time", "valid_until": "valid_until_time", "callback_tested_at": "callback_test_time",
}

// readForce reads a catalogue whole. Errors are a *record.FieldError.
func readForce(m *belpoortv1.Catalogue, law *eligibility.Law, position uint64) (*inForce, error) {
	catalogue, err := record.CatalogueFromProto(m, law, newRegister)
	if err != nil {
		return nil, err
	}
	catalogue.Position = position
	payload, err := record.MarshalCatalogue(m)
	if err != nil {
		return nil, err
	}
	return &inForce{law: law, catalogue: catalogue, asApplied: catalogue, message: m, payload: payload, position: position}, nil
}

func (s *Server) useEmptyCatalogue(law *eligibility.Law) error {
	force, err := readForce(&belpoortv1.Catalogue{}, law, 0)
	if err == nil {
		s.force.Store(force)
	}
	return err
}

// UseLaw puts another law in force, with the catalogue as it reads under it, if the self-test passes. Requests under way
// keep the law that they began with. When it fails, the law that was in force stays so.
func (s *Server) UseLaw(law *eligibility.Law) error {
	if err := selfTest(law); err != nil {
		return err
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	now := s.force.Load()
	force, err := readForce(now.message, law, now.position)
	if err != nil {
		return fmt.Errorf("the catalogue in force does not fit the law: %w", err)
	}
	s.force.Store(force.under(now.states))
	s.metrics.LawInForce(law.Version)
	return nil
}

// UseCatalogue puts a catalogue in force that stands in the ledger, unless a newer one is.
func (s *Server) UseCatalogue(position uint64, payload []byte) error {
	m, err := record.UnmarshalCatalogue(position, payload)
	if err != nil {
		return err
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	force, err := readForce(m, s.force.Load().law, position)
	if err != nil {
		return fmt.Errorf("the catalogue at position %d: %w", position, err)
	}
	s.swap(force)
	return nil
}

// swap puts a newer catalogue in force under the campaigns' states that are; it needs the lock on applying.
func (s *Server) swap(force *inForce) {
	now := s.force.Load()
	if force.position <= now.position {
		return
	}
	if mutantStatesForgotten {
		now = &inForce{}
	}
	s.force.Store(force.under(now.states))
}

// catalogues keeps who calls, under which numbers, for what.
type catalogues struct {
	belpoortv1.UnimplementedCatalogueServiceServer
	s *Server
}

// ApplyCatalogue replaces the catalogue: read and checked whole, then written, then in force, then answered.
func (c *catalogues) ApplyCatalogue(
	ctx context.Context, req *belpoortv1.ApplyCatalogueRequest,
) (*belpoortv1.ApplyCatalogueResponse, error) {
	if err := printable("request_id", req.GetRequestId(), maxRequestID); err != nil {
		return nil, err
	}
	if req.GetCatalogue() == nil {
		return nil, missing("catalogue")
	}
	if proto.Size(req.GetCatalogue()) > maxCatalogue {
		return nil, invalid("catalogue", "is larger than %d bytes", maxCatalogue)
	}
	return carryOut(ctx, c.s, func(ctx context.Context) (*belpoortv1.ApplyCatalogueResponse, error) {
		answer, err := c.s.apply(ctx, req)
		if err != nil || req.GetDryRun() {
			return answer, err
		}
		return answer, c.s.settle(ctx, answer.GetPosition())
	})
}

// apply puts a catalogue in force on this node.
func (s *Server) apply(ctx context.Context, req *belpoortv1.ApplyCatalogueRequest) (*belpoortv1.ApplyCatalogueResponse, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	now := s.force.Load()
	next, err := readForce(req.GetCatalogue(), s.force.Load().law, 0)
	if err != nil {
		return nil, recordError(err)
	}
	if err := firstError(mayReplace(clientOf(ctx), now, next), mayDeclare(clientOf(ctx), now, next)); err != nil {
		return nil, err
	}
	switch {
	case now.position != 0 && bytes.Equal(now.payload, next.payload):
		return &belpoortv1.ApplyCatalogueResponse{Position: now.position, Unchanged: true}, nil
	case req.GetExpectedPosition() != 0 && req.GetExpectedPosition() != now.position:
		return nil, fail(codes.Aborted, ReasonCatalogueMoved,
			"the catalogue in force stands at position %d, not at expected_position", now.position)
	case req.GetDryRun():
		return &belpoortv1.ApplyCatalogueResponse{Position: now.position}, nil
	}
	written, err := s.record(ctx, []Write{{
		RequestKey: catalogueKey(req.GetRequestId(), next.payload, now.position), Kind: record.KindCatalogue, Payload: next.payload,
	}})
	if err != nil {
		return nil, writeFailed(err)
	}
	next.position, next.catalogue.Position = written[0].Position, written[0].Position
	s.swap(next)
	s.log.Info("catalogue applied", zap.Uint64("position", next.position), zap.Bool("repeated", written[0].Repeated),
		zap.Int("organisations", len(next.catalogue.Organisations)), zap.Int("campaigns", len(next.catalogue.Campaigns)))
	return &belpoortv1.ApplyCatalogueResponse{Position: next.position, Unchanged: written[0].Repeated}, nil
}

// catalogueKey makes a write happen once. Without the client's id it holds the place of the catalogue that is replaced:
// one that was in force before may come back.
func catalogueKey(requestID string, payload []byte, over uint64) string {
	if requestID != "" {
		return catalogueKeys + "id/" + requestID
	}
	sum := sha256.Sum256(payload)
	return catalogueKeys + "content/" + hex.EncodeToString(sum[:]) + "/" + strconv.FormatUint(over, 10)
}

// mayReplace refuses a client that may not act for every organisation of both catalogues: each replaces the whole.
func mayReplace(c *client, catalogues ...*inForce) error {
	if c.everybody {
		return nil
	}
	for _, force := range catalogues {
		for id := range force.catalogue.Organisations {
			if !c.mayActFor(id) {
				return fail(codes.PermissionDenied, ReasonOrganisationForbidden,
					"the catalogue holds organisations for which this key may not act")
			}
		}
	}
	return nil
}

// mayDeclare refuses a change of the canaries to whom it is not given: who declares a number to be nobody's answers for that.
func mayDeclare(c *client, now, next *inForce) error {
	was, is := &belpoortv1.Catalogue{Canaries: now.message.GetCanaries()}, &belpoortv1.Catalogue{Canaries: next.message.GetCanaries()}
	if c.roles&roleCompliance != 0 || proto.Equal(was, is) || mutantCanaryByAnybody {
		return nil
	}
	return &failure{
		codes.PermissionDenied, ReasonRoleForbidden, "catalogue.canaries", "catalogue.canaries may be changed by a key with the role compliance only", nil,
	}
}

// GetCatalogue returns the catalogue in force, or as it stood.
func (c *catalogues) GetCatalogue(
	ctx context.Context, req *belpoortv1.GetCatalogueRequest,
) (*belpoortv1.GetCatalogueResponse, error) {
	force, err := c.s.forceAt(ctx, req.GetPosition())
	if err != nil {
		return nil, err
	}
	if force.position == 0 {
		return nil, fail(codes.NotFound, ReasonNoCatalogue, "no catalogue was applied yet")
	}
	if err := mayReplace(clientOf(ctx), force); err != nil {
		return nil, err
	}
	return &belpoortv1.GetCatalogueResponse{Catalogue: force.message, Position: force.position}, nil
}

// forceAt is the catalogue as the ledger stood at a position, under the law in force; 0: now.
func (s *Server) forceAt(ctx context.Context, position uint64) (*inForce, error) {
	now := s.force.Load()
	if position == 0 {
		return now, nil
	}
	entry, ok, err := s.facts.facts.LatestOfKind(ctx, record.KindCatalogue, position)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	m := &belpoortv1.Catalogue{}
	if ok {
		m, err = record.UnmarshalCatalogue(entry.Position, entry.Payload)
	}
	if err != nil {
		return nil, internal(err)
	}
	force, err := readForce(m, now.law, entry.Position)
	if err != nil {
		return nil, internal(err)
	}
	stood, err := s.statesAt(ctx, position)
	if err != nil {
		return nil, err
	}
	return force.under(stood), nil
}
