package ops

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Pages are what the operators' address shows. Their errors' sentences must be safe to show.
type Pages struct {
	Live, Ready func() error
	Health      *Health // optional
}

// Handler serves /metrics, /livez, /readyz and /debug/pprof/. Both health pages answer 200 with "ok", or 503 with the
// error's sentence; with ?verbose they list each part too.
func (m *Metrics) Handler(p Pages) *http.ServeMux {
	if p.Health == nil {
		p.Health = &Health{}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 8, EnableOpenMetrics: true}))
	mux.Handle("GET /livez", page(p.Live, p.Health))
	mux.Handle("GET /readyz", page(p.Ready, p.Health))
	// Without pprof's cmdline, which would show the passwords of URLs.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func page(state func() error, health *Health) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		says := "ok"
		if err := state(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			says = err.Error()
		}
		if r.URL.Query().Has("verbose") {
			for _, c := range health.Look() {
				_, _ = fmt.Fprintf(w, "%-9s %-9s since %s  %s\n", c.Name, c.Level, c.Since.UTC().Format(time.RFC3339), c.Says)
			}
		}
		_, _ = fmt.Fprintln(w, says)
	}
}
