package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// sign writes name.crt and name.key.
func (a *authority) sign(name string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, a.dir, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(a.t, a.dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) issue(name string) {
	a.sign(name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
}

// With a certificate gRPC and HTTP speak TLS only; with an authority for clients, only to those who have a certificate.
func TestServeWithTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	a.issue("client")
	data, grpc, web, doors := filepath.Join(t.TempDir(), "data"), freeAddress(t), freeAddress(t), freeAddress(t)
	done := make(chan int, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		var out bytes.Buffer
		code := run(ctx, []string{"serve", "--data", data, "--grpc", grpc, "--http", doors, "--ops", web, "--tls-cert", a.file("server.crt"),
			"--tls-key", a.file("server.key"), "--tls-client-ca", a.file("ca.crt"), "--log-level", "warn"}, nil, &out, &out)
		done <- code
	}()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	pair, err := tls.LoadX509KeyPair(a.file("client.crt"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}}
	eventually(t, "ready over HTTPS", func() bool {
		response, err := client.Get("https://" + web + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == 200
	})
	for _, second := range []bool{false, true} {
		mutual := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, ForceAttemptHTTP2: second,
		}}
		response, err := mutual.Get("https://" + doors + "/v1/check/plain")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 401 || (response.ProtoMajor == 2) != second {
			t.Errorf("a plain check over TLS: %s %s", response.Proto, response.Status)
		}
	}
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if response, err := stranger.Get("https://" + doors + "/readyz"); err == nil {
		response.Body.Close()
		t.Errorf("the doors opened to a client without a certificate: %s", response.Status)
	}
	ask := []string{"check", "112", "--campaign", "none", "--caller-id", "112", "--data", data, "--address", grpc, "--timeout", "5s"}
	with := append(ask, "--tls-ca", a.file("ca.crt"))
	mutual := append(with, "--tls-client-cert", a.file("client.crt"), "--tls-client-key", a.file("client.key"))
	if code, out := cli(t, mutual...); code != exitUsage || !strings.Contains(out, "CAMPAIGN_UNKNOWN") {
		t.Errorf("with a client certificate: exit %d: %s", code, out)
	}
	for name, args := range map[string][]string{"plain text": ask, "no client certificate": with} {
		if code, out := cli(t, args...); code != exitUnavailable {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	if status, _ := get(web, "/readyz"); status == 200 {
		t.Error("HTTP without TLS was answered")
	}
	stop()
	if code := <-done; code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
}

// An orchestrator's probe has no certificate: it sees health, and nothing else. The end of the certificate is shown.
func TestProbesNeedNoCertificate(t *testing.T) {
	a := newAuthority(t)
	a.issue("server")
	a.issue("client")
	newer := newAuthority(t)
	newer.issue("client")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	p := &process{t: t, data: filepath.Join(t.TempDir(), "data"), grpc: freeAddress(t), http: freeAddress(t), ops: freeAddress(t)}
	p.begin("--tls-cert", a.file("server.crt"), "--tls-key", a.file("server.key"), "--tls-client-ca", a.file("ca.crt"))
	ask := func(path string, certificates ...tls.Certificate) (int, string) {
		client := &http.Client{
			Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certificates}},
		}
		defer client.CloseIdleConnections()
		answer, err := client.Get("https://" + p.ops + path)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	own, err := tls.LoadX509KeyPair(a.file("client.crt"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	strange, err := tls.LoadX509KeyPair(newer.file("client.crt"), newer.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready for a probe", func() bool { status, _ := ask("/readyz"); return status == 200 })
	for path, status := range map[string]int{"/livez": 200, "/readyz": 200, "/": 403, "/readyz?verbose": 403, "/metrics": 403, "/debug/pprof/": 403, "/console/events": 403, "/log/level": 403} {
		if got, body := ask(path); got != status {
			t.Errorf("%s without a certificate: %d %s", path, got, body)
		}
	}
	if status, body := ask("/livez", strange); status != 0 {
		t.Errorf("with a certificate of another authority: %d %s", status, body)
	}
	status, body := ask("/metrics", own)
	found := regexp.MustCompile(`(?m)^belpoort_certificate_expiry_timestamp_seconds (\S+)$`).FindStringSubmatch(body)
	if status != 200 || found == nil {
		t.Fatalf("/metrics with a certificate: %d", status)
	}
	if ends, err := strconv.ParseFloat(found[1], 64); err != nil || math.Abs(ends-float64(time.Now().Add(time.Hour).Unix())) > 300 {
		t.Errorf("the certificate ends in an hour, not at %s (%v)", found[1], err)
	}
}
