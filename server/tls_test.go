package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// issuer signs certificates.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.key, i.cert, i.pem = i.issue("issuer", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return i
}

func (i *issuer) issue(name string, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.DNSNames = []string{"localhost"}
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		i.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return key, parsed, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// write puts a new certificate and its key in two files, each at once.
func (i *issuer) write(name, certFile, keyFile string) {
	i.t.Helper()
	key, _, certPEM := i.issue(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for file, data := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := errors.Join(os.WriteFile(file+".new", data, 0o600), os.Rename(file+".new", file)); err != nil {
			i.t.Fatal(err)
		}
	}
}

func (i *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert)
	return pool
}

// tlsClient dials a node and asks one check.
func (n *node) tlsClient(config *tls.Config) error {
	conn, err := grpc.NewClient(n.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = belpoortv1.NewGatekeeperServiceClient(conn).CheckCall(n.as("dialer-acme"), checkOf(callee))
	return err
}

func TestCertificatesRotateUnderLoad(t *testing.T) {
	ca, dir := newIssuer(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ca.write("first", certFile, keyFile)
	config, err := TLSConfig(GRPC, certFile, keyFile, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, t.TempDir(), func(c *Config) { c.TLS = config })
	n.start()
	var served sync.Map
	client := &tls.Config{RootCAs: ca.pool(), ServerName: "localhost", VerifyConnection: func(s tls.ConnectionState) error {
		served.Store(s.PeerCertificates[0].Subject.CommonName, true)
		return nil
	}}
	var rotated atomic.Bool
	var calls sync.WaitGroup
	calls.Go(func() {
		for deadline := time.Now().Add(20 * time.Second); ; {
			// No catalogue is applied: NOT_FOUND comes from behind the handshake and the key.
			if err := n.tlsClient(client); status.Code(err) != codes.NotFound {
				t.Errorf("during rotation: %v", err)
			}
			if _, ok := served.Load("second"); ok || time.Now().After(deadline) {
				return
			}
			if _, ok := served.Load("first"); ok && rotated.CompareAndSwap(false, true) {
				ca.write("second", certFile, keyFile)
			}
		}
	})
	calls.Wait()
	if _, ok := served.Load("second"); !ok {
		t.Error("the new certificate is not served")
	}
	write(t, keyFile, "damaged")
	time.Sleep(lookEvery + 50*time.Millisecond)
	if err := n.tlsClient(client); status.Code(err) != codes.NotFound {
		t.Errorf("a damaged key file took the certificate away: %v", err)
	}
	old := client.Clone()
	old.MaxVersion = tls.VersionTLS12
	if err := n.tlsClient(old); status.Code(err) != codes.Unavailable {
		t.Errorf("TLS 1.2: %v", err)
	}
}

func TestClientCertificatesAreAskedFor(t *testing.T) {
	ca, other, dir := newIssuer(t), newIssuer(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca.write("server", file("s.crt"), file("s.key"))
	ca.write("client", file("c.crt"), file("c.key"))
	other.write("stranger", file("x.crt"), file("x.key"))
	write(t, file("ca.crt"), string(ca.pem))
	config, err := TLSConfig(GRPC, file("s.crt"), file("s.key"), file("ca.crt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, t.TempDir(), func(c *Config) { c.TLS = config })
	n.start()
	client := &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"}
	if err := n.tlsClient(client); status.Code(err) != codes.Unavailable {
		t.Errorf("without a certificate: %v", err)
	}
	for name, want := range map[string]codes.Code{"c": codes.NotFound, "x": codes.Unavailable} {
		pair, err := tls.LoadX509KeyPair(file(name+".crt"), file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		client.Certificates = []tls.Certificate{pair}
		if err := n.tlsClient(client); status.Code(err) != want {
			t.Errorf("with the certificate %s: %v", name, err)
		}
	}
	for _, files := range [][3]string{{"none", "s.key", ""}, {"s.crt", "c.key", ""}, {"s.crt", "s.key", "s.key"}} {
		ca := ""
		if files[2] != "" {
			ca = file(files[2])
		}
		if _, err := TLSConfig(GRPC, file(files[0]), file(files[1]), ca, nil); err == nil {
			t.Errorf("%v are taken", files)
		}
	}
}

func TestPlainTextStaysOnTheMachine(t *testing.T) {
	at := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		addr       string
		tls, plain bool
		ok         bool
	}{
		{"127.0.0.1:1", false, false, true}, {"127.9.9.9:1", false, false, true}, {"[::1]:1", false, false, true},
		{"0.0.0.0:1", false, false, false}, {"[::]:1", false, false, false}, {":1", false, false, false}, {"10.0.0.1:1", false, false, false},
		{"0.0.0.0:1", true, false, true}, {"0.0.0.0:1", false, true, true},
	} {
		err := CheckListener(at(c.addr), c.tls, c.plain)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrPlaintext) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := CheckListener(&net.UnixAddr{Name: "x", Net: "unix"}, false, false); err != nil {
		t.Errorf("a socket file: %v", err)
	}
}
