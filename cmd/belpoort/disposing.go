package main

import (
	"context"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/server"
)

func (r register) DisposeDecisions(ctx context.Context, disposal server.DecisionDisposal) (server.DecisionsDisposed, error) {
	done, err := r.Ledger.DisposeDecisions(ctx, ledger.DecisionDisposal(disposal))
	return server.DecisionsDisposed{
		Allows: server.DisposedCount(done.Allows), Others: server.DisposedCount(done.Others), Last: done.Last, Done: done.Done,
	}, translated(err)
}

func (r register) DisposeFacts(ctx context.Context, disposals []server.FactDisposal) ([]server.FactsDisposed, error) {
	wanted := make([]ledger.FactDisposal, len(disposals))
	for i, f := range disposals {
		wanted[i] = ledger.FactDisposal{Fact: ledger.Append(f.Write), Positions: f.Positions, Number: f.Number, Through: f.Through}
	}
	done, err := r.Ledger.DisposeFacts(ctx, wanted)
	disposed := make([]server.FactsDisposed, len(done))
	for i := range done {
		disposed[i] = server.FactsDisposed{Written: server.Written(done[i].Appended), Moved: done[i].Moved}
	}
	return disposed, translated(err)
}
