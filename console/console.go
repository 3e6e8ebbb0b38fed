// Package console is the operators' page: one screen that shows the last 15 minutes, how each part of this node is, and, to
// those with a key for it, why a number may or may not be called. It knows figures and the services' words on the wire; it
// must not know the law, the stores, or who holds which key: look-ups go through the services as anybody's would.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Options say what to show. All but Node are required.
type Options struct {
	Node    string // its name, where several share a ledger
	Version string
	Metrics *ops.Metrics
	Health  *ops.Health
	Ready   func() error
	// These answer those who look a number up; their key travels in the context's outgoing metadata.
	Audit     belpoortv1.AuditServiceClient
	Register  belpoortv1.RegisterServiceClient
	Catalogue belpoortv1.CatalogueServiceClient
}

//go:embed assets
var assets embed.FS

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// maxViewers bounds how many people look at the page at the same time.
const maxViewers = 64

// writePatience is how long a page may take to receive a second before it is given up.
const writePatience = 5 * time.Second

// console serves the page.
type console struct {
	Options
	viewers chan struct{}
}

// Mount adds the page, at /, to the operators' pages.
func Mount(mux *http.ServeMux, o Options) error {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return err
	}
	c := &console{o, make(chan struct{}, maxViewers)}
	mux.Handle("GET /{$}", protected(http.HandlerFunc(c.page)))
	mux.Handle("GET /console/", protected(http.StripPrefix("/console/", http.FileServerFS(files))))
	mux.Handle("GET /console/events", protected(http.HandlerFunc(c.events)))
	mux.Handle("POST /console/look", protected(http.HandlerFunc(c.look)))
	return nil
}

// protected keeps the page from loading anything from elsewhere, and elsewhere from framing it.
func protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (c *console) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, c.Options) // the reader has left
}

// shown is what the page is told each second.
type shown struct {
	Seconds   []ops.Second    `json:"seconds"`
	Ready     bool            `json:"ready"`
	Law       string          `json:"law"`
	Parts     []ops.Component `json:"parts"`
	Campaigns []campaign      `json:"campaigns"`
	Refusals  []ops.Refusal   `json:"refusals"`
}

type campaign struct {
	ops.CampaignCalls
	State string `json:"state"` // why it is suspended, or that it owes; "" for nothing to say
	Debts string `json:"debts"` // what it owes, for people
}

// events sends the last 15 minutes, and then each second as it ends.
func (c *console) events(w http.ResponseWriter, r *http.Request) {
	select {
	case c.viewers <- struct{}{}:
		defer func() { <-c.viewers }()
	default:
		http.Error(w, "too many people look at this page", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	to := &stream{w, http.NewResponseController(w)}
	live := c.Metrics.Live()
	seconds, count, next := live.Since(0)
	if to.send("begin", c.show(seconds)) != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-next:
		}
		if seconds, count, next = live.Since(count); to.send("second", c.show(seconds)) != nil {
			return
		}
	}
}

func (c *console) show(seconds []ops.Second) shown {
	s := shown{
		Seconds: seconds, Ready: c.Ready() == nil, Law: c.Metrics.Law(), Parts: c.Health.Look(), Refusals: c.Metrics.LatestRefusals(),
	}
	s.Campaigns = campaignsOf(c.Metrics.CampaignCalls(), c.Metrics.Standings())
	return s
}

// campaignsOf joins the calls of campaigns with what those owe, and adds suspended ones that nobody asks about.
func campaignsOf(calls []ops.CampaignCalls, standings []ops.Campaign) (all []campaign) {
	byName := map[string]ops.Campaign{}
	for _, one := range standings {
		byName[one.ID] = one
	}
	for _, one := range calls {
		all = append(all, campaignOf(one, byName[one.Name]))
		delete(byName, one.Name)
	}
	for _, one := range standings {
		if _, left := byName[one.ID]; left && one.Suspended != "" {
			all = append(all, campaignOf(ops.CampaignCalls{Name: one.ID}, one))
		}
	}
	return all
}

func campaignOf(calls ops.CampaignCalls, standing ops.Campaign) campaign {
	c := campaign{CampaignCalls: calls}
	if standing.Owed+standing.Overdue > 0 {
		c.Debts = fmt.Sprintf("%d offers overdue, %d owed", standing.Overdue, standing.Owed)
	}
	switch {
	case standing.Suspended != "":
		c.State = "suspended: " + standing.Suspended
	case standing.Overdue > 0:
		c.State = fmt.Sprintf("%d overdue", standing.Overdue)
	}
	return c
}

// stream is a server-sent event stream.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) send(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.to, "event: %s\ndata: %s\n\n", event, text); err != nil {
		return err
	}
	return s.control.Flush()
}

// lookPatience is how long a look-up may take.
const lookPatience = 5 * time.Second

func within(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), lookPatience)
}
