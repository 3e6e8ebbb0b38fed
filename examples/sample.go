// Package examples holds sample data of three invented organisations: a catalogue and slightly messy Dutch CSV files,
// with every date relative to one moment, so that samples never go stale. It knows how call centres' files look. It must
// not know how they are read or what is decided on them.
package examples

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
	_ "time/tzdata"
)

//go:embed templates
var templates embed.FS

// A call that the samples answer, for a demonstration.
const (
	DemoCampaign = "voltwerk-demo" // open at any hour, for demonstration only
	DemoCallerID = "+31501234567"
	DemoAllowed  = "+31101234501" // ALLOW, OK_CONSENT: a verified consent of 40 days ago
	DemoDenied   = "+31101234502" // DENY, OBJECTED: the same, and an objection after it
)

// Write makes the files in folder, which must exist, as if today were now. Files of the same names are replaced.
func Write(folder string, now time.Time) error {
	files, err := render(now)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render returns the files by name.
func render(now time.Time) (map[string][]byte, error) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		return nil, err
	}
	parsed, err := template.New("").Funcs(functions(now.In(amsterdam))).ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range names {
		var out strings.Builder
		if err := parsed.ExecuteTemplate(&out, filepath.Base(name), nil); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".tmpl")] = []byte(out.String())
	}
	return files, nil
}

// functions are the words of the templates. Days count back from today; negative ones lie ahead.
func functions(now time.Time) template.FuncMap {
	day := func(ago int, clock string) (time.Time, error) {
		t, err := time.ParseInLocation("15:04", clock, now.Location())
		if err != nil {
			return time.Time{}, err
		}
		return time.Date(now.Year(), now.Month(), now.Day()-ago, t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	as := func(layout string) func(int, string) (string, error) {
		return func(ago int, clock string) (string, error) {
			t, err := day(ago, clock)
			return t.Format(layout), err
		}
	}
	dated := func(layout string) func(int) (string, error) {
		return func(ago int) (string, error) { return as(layout)(ago, "12:00") }
	}
	return template.FuncMap{
		"day":       dated("02-01-2006"),
		"slashDay":  dated("02/01/2006"),
		"isoDay":    dated("2006-01-02"),
		"year":      dated("2006"),
		"moment":    as("02-01-2006 15:04"),
		"isoMoment": as("2006-01-02T15:04:05-07:00"),
		"sha256": func(s string) string {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		},
	}
}
