package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// maxImportsScanned is how many reports one page looks through at most: those of others are left out of it.
const maxImportsScanned = 2000

// RecordImport records how an import ended. Nothing is decided on it, so it is answered as soon as it is on disk.
func (r *register) RecordImport(
	ctx context.Context, req *belpoortv1.RecordImportRequest,
) (*belpoortv1.RecordImportResponse, error) {
	s, c := r.s, clientOf(ctx)
	if err := requestID(req.GetRequestId()); err != nil {
		return nil, err
	}
	if err := record.CheckImport(req.GetReport()); err != nil {
		return nil, recordError(err)
	}
	report := proto.CloneOf(req.GetReport())
	report.Client = c.id
	payload, err := record.MarshalImport(report)
	if err != nil {
		return nil, internal(err)
	}
	w := Write{RequestKey: importKeys + c.id + "/" + req.GetRequestId(), Kind: record.KindImport, Payload: payload}
	written, err := carryOut(ctx, s, func(ctx context.Context) ([]Written, error) { return s.record(ctx, []Write{w}) })
	if err != nil {
		return nil, writeFailed(err)
	}
	return &belpoortv1.RecordImportResponse{Position: written[0].Position, Unchanged: written[0].Repeated}, nil
}

// ListImports lists the reports of imports that a client may read, newest first.
func (r *register) ListImports(
	ctx context.Context, req *belpoortv1.ListImportsRequest,
) (*belpoortv1.ListImportsResponse, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	if req.GetImportId() != "" && !record.IsImportID(req.GetImportId()) {
		return nil, invalid("import_id", "must be 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	upTo, err := readImportsToken(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return r.s.importsPage(ctx, upTo, size, func(m *belpoortv1.ImportReport) bool {
		c := clientOf(ctx)
		return (c.everybody || m.GetClient() == c.id || mutantImportsOfAll) && (req.GetImportId() == "" || m.GetImportId() == req.GetImportId())
	})
}

// importsPage looks through reports from a position downwards; 0: from the newest.
func (s *Server) importsPage(
	ctx context.Context, upTo uint64, size int, wanted func(*belpoortv1.ImportReport) bool,
) (*belpoortv1.ListImportsResponse, error) {
	page := &belpoortv1.ListImportsResponse{}
	for range maxImportsScanned {
		entry, found, err := s.facts.facts.LatestOfKind(ctx, record.KindImport, upTo)
		if err != nil {
			return nil, ledgerUnavailable(err)
		}
		if !found {
			return page, nil
		}
		m, err := record.UnmarshalImport(entry.Position, entry.Payload)
		if err != nil {
			return nil, internal(err)
		}
		if wanted(m) {
			page.Imports = append(page.Imports, &belpoortv1.RecordedImport{
				Position: entry.Position, RecordTime: timestamppb.New(entry.RecordTime), Report: m,
			})
		}
		if upTo = entry.Position - 1; upTo == 0 {
			return page, nil
		}
		if len(page.Imports) == size {
			break
		}
	}
	page.NextPageToken = base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, upTo))
	return page, nil
}

// readImportsToken gives the position from which a page goes on; 0 for the first page.
func readImportsToken(token string) (upTo uint64, err error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8 || binary.BigEndian.Uint64(raw) == 0 {
		return 0, invalid("page_token", "is none that this service gave")
	}
	return binary.BigEndian.Uint64(raw), nil
}
