package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// scrape asks for metrics in a form, and gives the form that came.
func (p *process) scrape(accept string) (form, body string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.ops+"/metrics", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		p.t.Fatalf("/metrics: %s, %v", answer.Status, err)
	}
	return answer.Header.Get("Content-Type"), string(text)
}

// sample is the value of one line of /metrics; 0 where there is none.
func (p *process) sample(line string) float64 {
	p.t.Helper()
	_, body := p.scrape("")
	for text := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(text), line+" "); ok {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	return 0
}
