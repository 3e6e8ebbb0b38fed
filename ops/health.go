package ops

import (
	"context"
	"sync"
	"time"
)

// Level is how well a component works.
type Level int

// The levels. Degraded still serves.
const (
	Works Level = iota
	Degraded
	Down
)

func (l Level) String() string {
	switch l {
	case Works:
		return "ok"
	case Degraded:
		return "degraded"
	default:
		return "down"
	}
}

// MarshalText writes the level's word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Component is one part of the service as it is now.
type Component struct {
	Name  string    `json:"name"`
	Level Level     `json:"level"`
	Says  string    `json:"says,omitempty"` // safe to show
	Since time.Time `json:"since"`          // it has been on this level
}

// Health knows how each part is, and since when. Its zero value knows no parts.
type Health struct {
	mu    sync.Mutex
	parts []*part
}

type part struct {
	look func() (Level, string)
	now  Component
}

// healthEvery is how often the parts are looked at, so that "since" is true to a second.
const healthEvery = time.Second

// Add makes a part known; look must be quick and its words safe to show.
func (h *Health) Add(name string, look func() (Level, string)) {
	level, says := look()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = append(h.parts, &part{look, Component{name, level, says, time.Now()}})
}

// Look gives the parts as they are now, in the order in which they were added.
func (h *Health) Look() []Component {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Component, len(h.parts))
	for i, p := range h.parts {
		level, says := p.look()
		if level != p.now.Level {
			p.now.Level, p.now.Since = level, time.Now()
		}
		p.now.Says = says
		all[i] = p.now
	}
	return all
}

// Run looks every second until ctx ends.
func (h *Health) Run(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.Look()
		}
	}
}
