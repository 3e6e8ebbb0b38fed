package scenario

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/belpoort/belpoort/eligibility"
)

// callee stands for the number in a scenario's call: the engine never sees more of a callee than a token.
var callee = eligibility.CalleeToken{1}

// loaded is a file that is ready to run.
type loaded struct {
	scenarios []Scenario
	catalogue *eligibility.Catalogue
}

// Run decides the scenarios of files by a law and writes one line for each, then a line that counts. Each file stands by
// itself with its includes; a file without scenarios is fine. When a file is wrong nothing is run: the error is a
// *Problems, or one from w.
func Run(files []string, law *eligibility.Law, w io.Writer) (passed, failed int, err error) {
	problems := &Problems{}
	known := make(map[string]*value)
	var all []loaded
	for _, path := range files {
		one, err := prepare(path, law)
		var wrong *Problems
		if errors.As(err, &wrong) {
			problems.join(wrong)
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		duplicates(one.scenarios, known, problems)
		all = append(all, one)
	}
	if err := problems.err(); err != nil {
		return 0, 0, err
	}
	for _, one := range all {
		ok, bad, err := one.run(law, w)
		passed, failed = passed+ok, failed+bad
		if err != nil {
			return passed, failed, err
		}
	}
	_, err = fmt.Fprintf(w, "%d passed, %d failed\n", passed, failed)
	return passed, failed, err
}

func prepare(path string, law *eligibility.Law) (loaded, error) {
	file, err := Load(path)
	if err != nil {
		return loaded{}, err
	}
	catalogue, err := file.Catalogue.Build(law)
	if err != nil {
		return loaded{}, err
	}
	return loaded{file.Scenarios, catalogue}, nil
}

// duplicates complains about an id that two files use; a file that is named twice is run twice.
func duplicates(scenarios []Scenario, known map[string]*value, problems *Problems) {
	r := &reader{problems: problems}
	for _, s := range scenarios {
		was := known[s.ID]
		if was != nil && (was.file != s.at.file || was.line != s.at.line) {
			r.fail(s.at, "duplicate scenario %q, first in %s:%d", s.ID, was.file, was.line)
		}
		known[s.ID] = s.at
	}
}

func (l *loaded) run(law *eligibility.Law, w io.Writer) (passed, failed int, err error) {
	for i := range l.scenarios {
		s := &l.scenarios[i]
		differences := s.Expect.differences(s.decide(l.catalogue, law))
		line := fmt.Sprintf("ok   %s  %s\n", s.ID, s.Title)
		if len(differences) > 0 {
			failed++
			line = fmt.Sprintf("FAIL %s %s: %s\n", s.ID, s.Title, strings.Join(differences, "; "))
		} else {
			passed++
		}
		if _, err := io.WriteString(w, line); err != nil {
			return passed, failed, err
		}
	}
	return passed, failed, nil
}

func (s *Scenario) decide(catalogue *eligibility.Catalogue, law *eligibility.Law) *eligibility.Decision {
	call := &eligibility.Call{
		Callee: s.Call.To, CallerID: s.Call.From, Presentation: s.Call.Presentation,
		Campaign: catalogue.Campaigns[s.Call.Campaign], Person: s.Call.Person, Mode: s.Call.Mode, Dialing: s.Call.Dialing,
	}
	decision := eligibility.Decide(eligibility.Fold(callee, 0, s.At, s.Facts), call, catalogue, law, s.At)
	return &decision
}

// join adds another's problems.
func (p *Problems) join(other *Problems) {
	for _, one := range other.List {
		p.add(one)
	}
	p.More += other.More
}
