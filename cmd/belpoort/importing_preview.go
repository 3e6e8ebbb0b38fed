package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/loader"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxPreviewed is how many rows a dry run shows.
const maxPreviewed = 3

// preview takes the place of the service in a dry run: every fact counts as one that would be handed over.
type preview struct {
	mu    sync.Mutex
	first []*belpoortv1.RecordFactRequest
}

func (p *preview) Record(_ context.Context, facts []*belpoortv1.RecordFactRequest) (loader.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = append(p.first, facts[:min(len(facts), maxPreviewed-len(p.first))]...)
	return loader.Result{Recorded: uint64(len(facts))}, nil
}

func (p *preview) print(r *importRun) {
	if r.f.flag("json") || r.f.flag("quiet") {
		return
	}
	for _, f := range p.first {
		fmt.Fprintln(r.out, "would be recorded:")
		printField(r.out, "callee", masked(f.GetCallee()))
		if f.GetRequestId() != "" {
			printField(r.out, "request_id", plainLine(f.GetRequestId()))
		}
		printFields(r.out, "", f.GetFact().ProtoReflect())
	}
}

func printField(w io.Writer, name, value string) { fmt.Fprintf(w, "  %-40s %s\n", name, value) }

// printFields shows what a message holds, by the names of the API.
func printFields(w io.Writer, within string, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		name, v := within+string(f.Name()), m.Get(f)
		switch {
		case f.IsList():
			var entries []string
			for j := range v.List().Len() {
				entries = append(entries, valueShown(f, v.List().Get(j)))
			}
			printField(w, name, strings.Join(entries, ", "))
		case f.Message() != nil && f.Message().FullName() != "google.protobuf.Timestamp":
			printFields(w, name+".", v.Message())
		default:
			printField(w, name, valueShown(f, v))
		}
	}
}

func valueShown(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.Enum() != nil:
		values := f.Enum().Values()
		prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
		return strings.TrimPrefix(string(values.ByNumber(v.Enum()).Name()), prefix)
	case f.Message() != nil:
		if t, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			return local(t)
		}
	}
	return plainLine(v.String())
}
