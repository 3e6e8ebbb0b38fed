package server

import (
	"context"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// menu finds an IVR menu in the catalogue in force; nil for none.
func (f *inForce) menu(id string) *belpoortv1.IvrMenu {
	for _, m := range f.message.GetIvrMenus() {
		if m.GetId() == id {
			return m
		}
	}
	return nil
}

// readMenu finds the menu that a client names, which must speak for the organisation of the call.
func (s *Server) readMenu(id, organisation string) (*belpoortv1.IvrMenu, error) {
	if err := needed("menu", id, maxName); err != nil {
		return nil, err
	}
	m := s.force.Load().menu(id)
	switch {
	case m == nil:
		return nil, &failure{codes.NotFound, ReasonMenuUnknown, "menu", "menu is none of the catalogue's IVR menus", nil}
	case m.GetOrganisation() != organisation:
		return nil, invalid("menu", "speaks for another organisation than the call was made for")
	}
	return m, nil
}

// readDigit tells what a digit means in a menu. One that the menu does not know is counted and written down: an IVR that
// sends such digits loses objections.
func (s *Server) readDigit(ctx context.Context, menu, digit, organisation string) (*belpoortv1.IvrDigit, error) {
	m, err := s.readMenu(menu, organisation)
	if err != nil {
		s.unknownDigit(ctx, "", digit)
		return nil, err
	}
	if meaning := m.GetDigits()[digit]; meaning != nil {
		return meaning, nil
	}
	s.unknownDigit(ctx, menu, digit)
	if mutantDigitUnknownSilent {
		return &belpoortv1.IvrDigit{Meaning: belpoortv1.IvrDigit_MEANING_NOT_OBJECTED}, nil
	}
	return nil, &failure{codes.InvalidArgument, ReasonDigitUnknown, "digit",
		`digit means nothing in this menu; nothing was recorded, and it must not be taken for "no objection": ask again`, nil}
}

func (s *Server) unknownDigit(ctx context.Context, menu, digit string) {
	s.metrics.UnknownDigit(menu)
	if !record.IsDigit(digit) {
		digit = "" // could be anything that people type, a number too
	}
	s.log.Warn("an IVR sent a digit that no menu knows", zap.String("menu", menu), zap.String("digit", digit),
		zap.String("client", clientOf(ctx).id))
}
