package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// drillOutcome is what a drill found. A broken drill is one with a broken path, or one that left the canary callable.
type drillOutcome struct {
	Canary       string // masked
	Campaign     string
	Began        time.Time
	Took         time.Duration
	Paths        []drilledPath
	LeftObjected bool
}

// drilledPath is one door to one node. Times count from when the objection was sent.
type drilledPath struct {
	Door, Node string
	Answered   time.Duration // until the door answered "in force"; 0: it did not
	Refused    time.Duration // until the node was first seen to refuse; 0: it was not
	Broken     string        // why; "": it is not
}

// broken counts the broken paths; a canary that can be called counts as one.
func (o *drillOutcome) broken() (n int) {
	for _, p := range o.Paths {
		if p.Broken != "" {
			n++
		}
	}
	if !o.LeftObjected {
		n++
	}
	return n
}

func (o *drillOutcome) print(w io.Writer) error {
	fmt.Fprintf(w, "canary %s, campaign %s: %d paths\n\n", o.Canary, o.Campaign, len(o.Paths))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DOOR\tNODE\tANSWERED\tREFUSED\tRESULT")
	for _, p := range o.Paths {
		result := "ok"
		if p.Broken != "" {
			result = "BROKEN: " + p.Broken
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Door, p.Node, shortly(p.Answered), shortly(p.Refused), result)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !o.LeftObjected {
		fmt.Fprintln(w, "\nTHE CANARY MAY BE CALLED: its objection could not be put back. Drill again.")
	}
	return nil
}

func shortly(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(100 * time.Microsecond).String()
}

func (o *drillOutcome) printJSON(w io.Writer) error {
	type shown struct {
		Door            string   `json:"door"`
		Node            string   `json:"node"`
		AnsweredSeconds *float64 `json:"answered_seconds,omitempty"`
		RefusedSeconds  *float64 `json:"refused_seconds,omitempty"`
		Broken          string   `json:"broken,omitempty"`
	}
	seconds := func(d time.Duration) *float64 {
		if d == 0 {
			return nil
		}
		s := d.Seconds()
		return &s
	}
	paths := make([]shown, len(o.Paths))
	for i, p := range o.Paths {
		paths[i] = shown{p.Door, p.Node, seconds(p.Answered), seconds(p.Refused), p.Broken}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{
		"campaign": o.Campaign, "began": o.Began.UTC().Format(time.RFC3339Nano), "took_seconds": o.Took.Seconds(), "ok": o.broken() == 0,
		"left_objected": o.LeftObjected, "paths": paths,
	})
}

// writeMetrics replaces the file whole, so that nobody reads half of it.
func (o *drillOutcome) writeMetrics(path string) error {
	var b strings.Builder
	metric := func(name, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name) }
	each := func(name, help string, value func(p *drilledPath) (float64, bool)) {
		metric(name, help)
		for i := range o.Paths {
			if v, is := value(&o.Paths[i]); is {
				fmt.Fprintf(&b, "%s{door=%q,node=%q} %g\n", name, o.Paths[i].Door, o.Paths[i].Node, v)
			}
		}
	}
	metric("belpoort_drill_broken_paths", "Paths of the last drill that are broken.")
	fmt.Fprintf(&b, "belpoort_drill_broken_paths %d\n", o.broken())
	metric("belpoort_drill_timestamp_seconds", "When the last drill began.")
	fmt.Fprintf(&b, "belpoort_drill_timestamp_seconds %d\n", o.Began.Unix())
	each("belpoort_drill_path_ok", "1 for a path of the last drill that is not broken.", func(p *drilledPath) (float64, bool) {
		if p.Broken == "" {
			return 1, true
		}
		return 0, true
	})
	each("belpoort_drill_answered_seconds", "From an objection until its door answered that it is in force.",
		func(p *drilledPath) (float64, bool) { return p.Answered.Seconds(), p.Answered > 0 })
	each("belpoort_drill_refused_seconds", "From an objection until the node was seen to refuse.",
		func(p *drilledPath) (float64, bool) { return p.Refused.Seconds(), p.Refused > 0 })
	written, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	defer os.Remove(written.Name())
	_, err = io.WriteString(written, b.String())
	if err == nil {
		err = written.Chmod(0o644) // the exporter that reads it is another user
	}
	if closing := written.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(written.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	return nil
}
