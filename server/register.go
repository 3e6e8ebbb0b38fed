package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

const (
	// maxRejections bounds how many rejected facts one answer names.
	maxRejections = 1000
	// maxDecisionsShown bounds how many decisions GetCallee shows.
	maxDecisionsShown = 100
	// giveWayEvery is after how many facts of a message, each some microseconds, others get the processor.
	giveWayEvery = 16
	// giveWayPause is how long a load then waits while checks queue up for the processors, and giveWayMost how often: so it
	// goes on in any case, at some thousand facts a second.
	giveWayPause = time.Millisecond
	giveWayMost  = 10
)

// register keeps the facts that come from CRMs and back offices.
type register struct {
	belpoortv1.UnimplementedRegisterServiceServer
	s *Server
}

// readFact reads a fact as a client sent it and makes it ready for the ledger.
func (s *Server) readFact(c *client, force *inForce, req *belpoortv1.RecordFactRequest) (Write, error) {
	callee, err := subscriberNumber("callee", req.GetCallee(), force.law)
	if err != nil {
		return Write{}, err
	}
	if err := printable("request_id", req.GetRequestId(), maxRequestID); err != nil {
		return Write{}, err
	}
	fact, err := record.FactFromProto(req.GetFact())
	if err != nil {
		return Write{}, recordError(err)
	}
	if err := s.checkFact(&fact, force, c); err != nil {
		return Write{}, err
	}
	key, err := s.factKey(callee, &fact, req.GetRequestId())
	if err != nil {
		return Write{}, err
	}
	return s.factWrite(callee, fact, key)
}

// factKey is the request key of a fact. One that came without an id happens once for its callee: the ledger knows it by its
// content. An objection's content holds a receipt, which is made from a key.
func (s *Server) factKey(callee telephony.Number, fact *eligibility.Fact, id string) (string, error) {
	switch {
	case id != "":
		return factKeys + id, nil
	case fact.Objection == nil:
		return "", nil
	default:
		return s.contentKey(callee, fact)
	}
}

// contentKey is made from the callee token, which nobody can make from a number without the deployment's key.
func (s *Server) contentKey(callee telephony.Number, fact *eligibility.Fact) (string, error) {
	payload, err := record.Marshal(*fact)
	if err != nil {
		return "", internal(err)
	}
	token := s.ring.Token(callee)
	h := sha256.New()
	h.Write(token[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(record.KindOf(*fact))))
	h.Write(payload)
	return contentKeys + hex.EncodeToString(h.Sum(nil)), nil
}

// RecordFact records one fact; it is in force when it returns.
func (r *register) RecordFact(
	ctx context.Context, req *belpoortv1.RecordFactRequest,
) (*belpoortv1.RecordFactResponse, error) {
	force := r.s.force.Load()
	w, err := r.s.readFact(clientOf(ctx), force, req)
	if err != nil {
		return nil, err
	}
	written, err := r.s.write(ctx, []Write{w})
	if err != nil {
		return nil, writeFailed(err)
	}
	return &belpoortv1.RecordFactResponse{
		Position: written[0].Position, Unchanged: written[0].Repeated, Receipt: w.Reference,
	}, nil
}

// RecordFacts records many facts. Faulty ones are named in the answer and the others are recorded; only what is wrong with
// a whole message, or with the ledger, ends the stream.
func (r *register) RecordFacts(
	stream grpc.ClientStreamingServer[belpoortv1.RecordFactsRequest, belpoortv1.RecordFactsResponse],
) error {
	l := &load{s: r.s, client: clientOf(stream.Context()), tally: &belpoortv1.RecordFactsResponse{}}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if err := l.mark(stream.Context()); err != nil {
				return err
			}
			return stream.SendAndClose(l.tally)
		}
		if err != nil {
			return err
		}
		if len(req.GetFacts()) > maxFacts {
			return invalid("facts", "holds more than %d facts in one message", maxFacts)
		}
		if err := r.s.holds(stream.Context(), req.GetAfter()); err != nil {
			return err
		}
		err = r.s.easing.work(stream.Context(), len(req.GetFacts()), func() error { return l.take(stream.Context(), req.GetFacts()) })
		if err != nil {
			return err
		}
	}
}

// load is one stream of facts.
type load struct {
	s      *Server
	client *client
	next   uint64 // place of the next fact in the stream
	last   uint64 // the last position of a fact of the stream
	tally  *belpoortv1.RecordFactsResponse
}

// batch is the good facts of one message, each with its place in the stream.
type batch struct {
	writes []Write
	places []uint64
}

func (l *load) take(ctx context.Context, facts []*belpoortv1.RecordFactRequest) error {
	force := l.s.force.Load()
	var b batch
	b.writes, b.places = make([]Write, 0, len(facts)), make([]uint64, 0, len(facts))
	for i, req := range facts {
		if i%giveWayEvery == 0 {
			l.s.giveWay()
		}
		place := l.next
		l.next++
		w, err := l.s.readFact(l.client, force, req)
		if err != nil {
			if err := l.reject(place, err); err != nil {
				return err
			}
			continue
		}
		b.writes, b.places = append(b.writes, w), append(b.places, place)
	}
	return l.record(ctx, b)
}

// giveWay lets checks come first.
func (s *Server) giveWay() {
	runtime.Gosched()
	for range giveWayMost {
		if s.admission.waiting.Load() == 0 || mutantLoadsFirst {
			return
		}
		time.Sleep(giveWayPause)
	}
}

// record writes a batch. A fact that the ledger refuses is rejected, and the rest goes in without it.
func (l *load) record(ctx context.Context, b batch) error {
	for len(b.writes) > 0 {
		written, err := l.s.write(ctx, b.writes)
		if err == nil {
			l.count(written)
			return nil
		}
		i, refusal := refusedWrite(err)
		if refusal == nil || i < 0 || i >= len(b.writes) {
			return ledgerUnavailable(err)
		}
		if err := l.reject(b.places[i], refusal); err != nil {
			return err
		}
		b.writes = append(b.writes[:i:i], b.writes[i+1:]...)
		b.places = append(b.places[:i:i], b.places[i+1:]...)
	}
	return nil
}

func (l *load) count(written []Written) {
	before := l.tally.GetUnchanged()
	for _, w := range written {
		l.last = max(l.last, w.Position)
		if w.Repeated {
			l.tally.Unchanged++
			continue
		}
		l.tally.Recorded++
		l.tally.Position = max(l.tally.Position, w.Position)
	}
	unchanged := int(l.tally.GetUnchanged() - before)
	l.s.metrics.Imported("unchanged", unchanged)
	l.s.metrics.Imported("recorded", len(written)-unchanged)
}

// mark puts into the answer what tells this ledger, with all the facts of the stream, from any other.
func (l *load) mark(ctx context.Context) error {
	if l.last == 0 {
		return nil
	}
	e, err := l.s.facts.facts.Entry(ctx, l.last)
	if err != nil {
		return ledgerUnavailable(err)
	}
	l.tally.Mark = &belpoortv1.LedgerMark{Position: l.last, Hash: e.Hash[:]}
	return nil
}

// holds fails where the ledger is not the one that a mark is from, or is as it was before.
func (s *Server) holds(ctx context.Context, after *belpoortv1.LedgerMark) error {
	if after == nil {
		return nil
	}
	if after.GetPosition() == 0 || len(after.GetHash()) != sha256.Size {
		return invalid("after", "wants a position from 1 and a hash of %d bytes", sha256.Size)
	}
	e, err := s.facts.facts.Entry(ctx, after.GetPosition())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return ledgerUnavailable(err)
	}
	if (err != nil || e.Hash != [sha256.Size]byte(after.GetHash())) && !mutantAnyLedger {
		return fail(codes.FailedPrecondition, ReasonLedgerMoved, "the ledger does not hold position %d as it was: it is another one, or was restored to an earlier state",
			after.GetPosition())
	}
	return nil
}

// reject names a faulty fact in the answer; what is no fault of the fact is returned.
func (l *load) reject(place uint64, err error) error {
	var f *failure
	if !errors.As(err, &f) || f.code == codes.Internal || f.code == codes.Unavailable {
		return err
	}
	l.tally.Rejected++
	l.s.metrics.Imported("rejected", 1)
	if len(l.tally.Rejections) < maxRejections {
		l.tally.Rejections = append(l.tally.Rejections, &belpoortv1.RejectedFact{Index: place, Field: f.field, Description: f.sentence})
	}
	return nil
}

// GetCallee returns everything held on a number that the client may read: facts and decisions that name organisations only
// where it may act for one of them.
func (r *register) GetCallee(
	ctx context.Context, req *belpoortv1.GetCalleeRequest,
) (*belpoortv1.GetCalleeResponse, error) {
	s, c := r.s, clientOf(ctx)
	callee, err := number("callee", req.GetCallee())
	if err != nil {
		return nil, err
	}
	force := s.force.Load()
	token := s.ring.Token(callee)
	snapshot, err := s.facts.facts.Facts(ctx, token, 0)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	answer := &belpoortv1.GetCalleeResponse{CalleeToken: token.String(), LedgerPosition: snapshot.Head}
	for i := range snapshot.Entries {
		m, fact, err := entryToProto(&snapshot.Entries[i])
		if err != nil {
			return nil, internal(err)
		}
		if mayRead(&fact, force, c) {
			answer.Entries = append(answer.Entries, m)
		}
	}
	answer.Decisions, err = s.latestDecisions(ctx, token, c)
	return answer, err
}

// entryToProto shows a ledger entry; the fact of an erased one is absent.
func entryToProto(entry *Entry) (*belpoortv1.LedgerEntry, eligibility.Fact, error) {
	m := &belpoortv1.LedgerEntry{
		Position: entry.Position, RecordTime: timestamppb.New(entry.RecordTime), RequestId: requestIDOf(entry.RequestKey), Hash: entry.Hash[:],
		Erased: entry.Erased,
	}
	if entry.Erased {
		return m, eligibility.Fact{}, nil
	}
	fact, err := record.Unmarshal(entry.Position, entry.Payload)
	if err != nil {
		return nil, fact, err
	}
	m.Fact = record.FactToProto(fact)
	return m, fact, nil
}

// latestDecisions waits until what this node has journalled is in the ledger, so that a decision just answered is shown.
func (s *Server) latestDecisions(ctx context.Context, token eligibility.CalleeToken, c *client) ([]*belpoortv1.Decision, error) {
	if err := s.awaitShipped(ctx); err != nil {
		return nil, err
	}
	payloads, err := s.decisions.LatestDecisions(ctx, token, maxDecisionsShown)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	var out []*belpoortv1.Decision
	for _, payload := range payloads {
		m, err := record.UnmarshalDecision(payload)
		if err != nil {
			return nil, internal(err)
		}
		if c.mayActFor(m.GetOrganisation()) {
			out = append(out, m)
		}
	}
	return out, nil
}

func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
