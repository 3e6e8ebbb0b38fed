// Package scenario reads the files that lawyers and operators write: catalogues, facts, and cases that say how a call is
// to be answered, and runs the cases through the engine that answers CheckCall. It knows the file format and turns it into
// the engine's words; it knows neither ledger nor network, and never repairs a file: what it does not understand is an error.
package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file.
type Problem struct {
	File         string // as it was named
	Line, Column int    // from 1; 0 where the file could not be read at all
	Key          string // such as "scenarios[3].call.campaign"; "" for the whole file
	Text         string
}

func (p Problem) Error() string {
	place := p.File
	if p.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Key == "" {
		return place + ": " + p.Text
	}
	return place + ": " + p.Key + ": " + p.Text
}

// maxProblems bounds how many problems are told.
const maxProblems = 20

// Problems is what is wrong in a file and its includes.
type Problems struct {
	List []Problem // the first twenty
	More int       // how many were left out
}

func (p *Problems) Error() string {
	lines := make([]string, 0, len(p.List)+1)
	for _, one := range p.List {
		lines = append(lines, one.Error())
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", p.More))
	}
	return strings.Join(lines, "\n")
}

// add notes a problem once, however often a named fact with it is used.
func (p *Problems) add(one Problem) {
	one.Key, one.Text = shorten(one.Key), shorten(one.Text)
	switch {
	case slices.Contains(p.List, one):
	case len(p.List) < maxProblems:
		p.List = append(p.List, one)
	default:
		p.More++
	}
}

// maxText bounds how much of a file a problem repeats.
const maxText = 400

func shorten(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}

// err is p, or nil when nothing is wrong.
func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}
