package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
)

// carryOut does work that changes the ledger on a goroutine of its own, to its end, though the client leaves: what the
// ledger takes must never stand without its floor. So the work has no deadline, and how much is under way is bounded.
func carryOut[T any](ctx context.Context, s *Server, work func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case s.writes <- struct{}{}:
	default:
		return none, fail(codes.ResourceExhausted, ReasonLedgerBusy, "too many writes are under way")
	}
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	s.writing.Add(1)
	go func() {
		defer s.writing.Done()
		defer func() { <-s.writes }()
		result, err := guarded(s, context.WithoutCancel(ctx), work)
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return none, ledgerUnavailable(ctx.Err())
	}
}

// guarded keeps a panic on a goroutine of ours from ending the process.
func guarded[T any](s *Server, ctx context.Context, work func(context.Context) (T, error)) (result T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.panicked("writing", cause)
			err = internal(errPanic)
		}
	}()
	return work(ctx)
}

// write puts facts in the ledger, raises the floors of their callees, and answers when no node relies on less.
func (s *Server) write(ctx context.Context, writes []Write) ([]Written, error) {
	return carryOut(ctx, s, func(ctx context.Context) ([]Written, error) { return s.append(ctx, writes) })
}

func (s *Server) append(ctx context.Context, writes []Write) ([]Written, error) {
	written, err := s.record(ctx, writes)
	if err != nil {
		return nil, err
	}
	last := uint64(0)
	for i := range written {
		last = max(last, written[i].Position)
	}
	return written, s.settle(ctx, last)
}

// settle waits until no node relies on less than the facts up to a position.
func (s *Server) settle(ctx context.Context, position uint64) error {
	if mutantAnswerBeforeSettled {
		return nil
	}
	began := time.Now()
	defer func() {
		s.metrics.Settled(time.Since(began))
		s.traces.Of(ctx).Part("settle", began)
	}()
	return s.lease.Settle(ctx, position)
}

// record puts facts in the ledger and raises the floors of their callees on this node.
func (s *Server) record(ctx context.Context, writes []Write) ([]Written, error) {
	began := time.Now()
	written, err := s.appender.Append(ctx, writes)
	s.metrics.AppendTook(time.Since(began))
	s.traces.Of(ctx).Part("append", began)
	if err != nil {
		s.metrics.Appended("failed", len(writes))
		return nil, err
	}
	repeated := 0
	for i := range written {
		s.raise(&writes[i], written[i].Position)
		if written[i].Repeated {
			repeated++
		}
	}
	s.reported(writes)
	s.metrics.Appended("repeated", repeated)
	s.metrics.Appended("written", len(written)-repeated)
	return written, nil
}

func (s *Server) raise(w *Write, position uint64) {
	if !mutantNoRaise && !w.Callee.IsZero() {
		s.floors.Raise(w.Callee, position)
	}
}

// refusedWrite finds which write the ledger refused for a fault of its own, and the answer to it.
func refusedWrite(err error) (index int, refusal *failure) {
	var refused *WriteError
	switch {
	case !errors.As(err, &refused):
		return 0, nil
	case errors.Is(err, ErrRequestReused):
		return refused.Index, requestReused()
	case errors.Is(err, ErrReferenceTaken):
		return refused.Index, receiptTaken()
	default:
		return 0, nil
	}
}

func requestReused() *failure {
	return &failure{
		codes.AlreadyExists, ReasonRequestReused, "request_id", "request_id was used before for other content; nothing was changed", nil,
	}
}

// receiptTaken is rare: receipts have 55 bits.
func receiptTaken() *failure {
	return &failure{
		codes.Aborted, ReasonReceiptTaken, "request_id", "request_id leads to a receipt that was given before; repeat with another", nil,
	}
}

// writeFailed is the answer to an append that failed.
func writeFailed(err error) error {
	if _, refusal := refusedWrite(err); refusal != nil {
		return refusal
	}
	return ledgerUnavailable(err)
}
