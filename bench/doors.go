package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Names of the contestants that ask the service over HTTP/1.1 about callees who may be called.
const (
	Plain = "plain" // the plain check
	JSON  = "json"  // the JSON form of CheckCall
)

// doors are the service's addresses over HTTP, and a pool of connections for each of the plan's.
type doors struct {
	service *Service
	base    string
	key     string
	pools   []*http.Client
}

// idleConnections keeps a pool's connections open between calls, however many callers share it.
const idleConnections = 4096

// Doors ask over HTTP, with a key, at a base address such as http://127.0.0.1:2358. config is nil without TLS.
func (s *Service) Doors(base, key string, config *tls.Config, cpu func() (time.Duration, error)) []Contestant {
	d := &doors{service: s, base: base, key: key}
	for range s.conns {
		d.pools = append(d.pools, &http.Client{Transport: &http.Transport{
			TLSClientConfig: config, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute,
		}})
	}
	return []Contestant{{Name: Plain, Call: d.plain, CPU: cpu}, {Name: JSON, Call: d.json, CPU: cpu}}
}

func (d *doors) plain(ctx context.Context, conn int, n uint64) error {
	q := question(d.service.population.AllowedNumber(n))
	form := url.Values{"callee": {q.GetCallee()}, "campaign": {q.GetCampaign()}, "caller_id": {q.GetCallerId()}}
	body, err := d.post(ctx, conn, "/v1/check/plain", "application/x-www-form-urlencoded", form.Encode())
	if err == nil && !strings.HasPrefix(body, "ALLOW ") && !mutantBenchAnyVerdict {
		return &WrongVerdict{Want: belpoortv1.Verdict_VERDICT_ALLOW}
	}
	return err
}

func (d *doors) json(ctx context.Context, conn int, n uint64) error {
	q := question(d.service.population.AllowedNumber(n))
	request, err := json.Marshal(map[string]string{"callee": q.GetCallee(), "campaign": q.GetCampaign(), "callerId": q.GetCallerId()})
	if err != nil {
		return err
	}
	body, err := d.post(ctx, conn, "/v1/check", "application/json", string(request))
	if err != nil {
		return err
	}
	var answer struct{ Verdict string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if want := belpoortv1.Verdict_VERDICT_ALLOW; answer.Verdict != want.String() && !mutantBenchAnyVerdict {
		return &WrongVerdict{Want: want, Got: belpoortv1.Verdict(belpoortv1.Verdict_value[answer.Verdict])}
	}
	return nil
}

// maxReply bounds what is read of an answer, in bytes.
const maxReply = 64 << 10

func (d *doors) post(ctx context.Context, conn int, path, kind, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-Api-Key", d.key)
	answer, err := d.pools[conn].Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK && !mutantBenchAnyVerdict {
		return "", status.Error(codes.Unknown, fmt.Sprintf("HTTP status %d, %s%s", answer.StatusCode, answer.Header.Get("Belpoort-Reason"), answer.Header.Get("Belpoort-Error")))
	}
	return string(text), nil
}
