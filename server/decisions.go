package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// The sizes of a page of decisions, and how many are looked through at most for one: those of other organisations are left
// out of it.
const (
	defaultPage = 100
	maxPage     = 1000
	maxScanned  = 10_000
)

// ListDecisions lists the decisions that a client may read, newest first.
func (a *audit) ListDecisions(
	ctx context.Context, req *belpoortv1.ListDecisionsRequest,
) (*belpoortv1.ListDecisionsResponse, error) {
	f, err := a.s.decisionFilter(req)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	bound := pageBound(f)
	if req.GetPageToken() == "" {
		err = a.s.awaitShipped(ctx) // so that a decision just answered is in the list
	} else {
		f.Before, err = readPageToken(req.GetPageToken(), bound)
	}
	if err != nil {
		return nil, err
	}
	answer, next, err := a.s.decisionPage(ctx, f, size, clientOf(ctx))
	if err != nil {
		return nil, err
	}
	if next != [16]byte{} {
		answer.NextPageToken = pageToken(next, bound)
	}
	return answer, nil
}

func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0 || asked > maxPage:
		return 0, invalid("page_size", "must be 1 to %d, or 0 for %d", maxPage, defaultPage)
	case asked == 0:
		return defaultPage, nil
	}
	return int(asked), nil
}

// decisionFilter reads what is asked for.
func (s *Server) decisionFilter(req *belpoortv1.ListDecisionsRequest) (DecisionFilter, error) {
	f := DecisionFilter{Campaign: req.GetCampaign(), Verdict: int32(req.GetVerdict()), Reason: int32(req.GetReason())}
	if f.Campaign != "" && !record.IsName(f.Campaign) {
		return f, invalid("campaign", "must be 1 to %d lower-case letters, digits and hyphens", maxName)
	}
	if f.Verdict != 0 && !eligibility.Known(eligibility.Verdict(f.Verdict)) {
		return f, invalid("verdict", "is not known: %d", f.Verdict)
	}
	if f.Reason != 0 && !eligibility.Known(eligibility.Reason(f.Reason)) {
		return f, invalid("reason", "is not known: %d", f.Reason)
	}
	if req.GetCallee() != "" {
		callee, err := number("callee", req.GetCallee())
		if err != nil {
			return f, err
		}
		f.Callee = s.ring.Token(callee)
	}
	var err error
	if f.From, err = readInstant("from_time", req.GetFromTime()); err != nil {
		return f, err
	}
	if f.Until, err = readInstant("until_time", req.GetUntilTime()); err != nil {
		return f, err
	}
	if !f.From.IsZero() && !f.Until.IsZero() && !f.From.Before(f.Until) {
		return f, invalid("until_time", "must be later than from_time")
	}
	return f, nil
}

// readInstant reads an instant that may be absent.
func readInstant(field string, asked *timestamppb.Timestamp) (time.Time, error) {
	if asked == nil {
		return time.Time{}, nil
	}
	at := asked.AsTime()
	if asked.CheckValid() != nil || at.Before(firstInstant) || !at.Before(lastInstant) {
		return at, invalid(field, "must lie between 1970 and 2200")
	}
	return at, nil
}

// decisionPage gives a page, and the decision after which the next one begins; zero where there is none.
func (s *Server) decisionPage(
	ctx context.Context, f DecisionFilter, size int, c *client,
) (page *belpoortv1.ListDecisionsResponse, next [16]byte, err error) {
	page = &belpoortv1.ListDecisionsResponse{}
	batch := max(size, defaultPage)
	for range maxScanned / batch {
		payloads, err := s.decisions.ListDecisions(ctx, f, batch)
		if err != nil {
			return nil, next, ledgerUnavailable(err)
		}
		for _, payload := range payloads {
			m, err := record.UnmarshalDecision(payload)
			if err != nil {
				return nil, next, internal(err)
			}
			f.Before = decisionIDOf(m.GetDecisionId())
			if !c.mayActFor(m.GetOrganisation()) && !mutantDecisionsOfAll {
				continue
			}
			if page.Decisions = append(page.Decisions, m); len(page.Decisions) == size {
				return page, f.Before, nil
			}
		}
		if len(payloads) < batch {
			return page, [16]byte{}, nil
		}
	}
	return page, f.Before, nil
}

// pageBound ties a page token to what was asked for.
func pageBound(f DecisionFilter) []byte {
	sum := sha256.Sum256(fmt.Append(nil, f.Campaign, "\n", f.Callee[:], f.Verdict, f.Reason, f.From.UnixMicro(), f.Until.UnixMicro()))
	return sum[:8]
}

func pageToken(before [16]byte, bound []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(before[:], bound...))
}

func readPageToken(token string, bound []byte) (before [16]byte, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != len(before)+len(bound) {
		return before, invalid("page_token", "is none that this service gave")
	}
	if !bytes.Equal(raw[len(before):], bound) && !mutantPageOfAnything {
		return before, invalid("page_token", "belongs to a list that was asked for in other words")
	}
	return [16]byte(raw[:len(before)]), nil
}
