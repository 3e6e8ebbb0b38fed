package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Protocols that a listener may speak over TLS.
var (
	GRPC = []string{"h2"}
	HTTP = []string{"http/1.1"}
	Web  = []string{"h2", "http/1.1"}
)

// TLSConfig is TLS 1.3 for the protocols, with the certificate of two PEM files. clientCAFile, where not "", holds the authorities one of
// which must have signed every client's certificate. The files are looked at once a second and read again when they
// changed; connections that stand keep what they began with. report is told of every reading, with the error that kept
// the old certificate in use or nil; it may be nil.
func TLSConfig(protocols []string, certFile, keyFile, clientCAFile string, report func(error)) (*tls.Config, error) {
	if report == nil {
		report = func(error) {}
	}
	w := &certificates{protocols: protocols, cert: certFile, key: keyFile, clientCA: clientCAFile, report: report}
	loaded, err := w.read()
	if err != nil {
		return nil, err
	}
	w.current.Store(loaded)
	w.looked.Store(time.Now().UnixNano())
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			w.look(time.Now())
			return w.current.Load().config, nil
		},
	}, nil
}

type certificates struct {
	protocols           []string
	cert, key, clientCA string
	report              func(error)
	current             atomic.Pointer[loadedCertificates]
	looked              atomic.Int64 // Unix nanoseconds
	looking             atomic.Bool
}

type loadedCertificates struct {
	config *tls.Config
	stamps []fileStamp
}

func (w *certificates) files() []string {
	if w.clientCA == "" {
		return []string{w.cert, w.key}
	}
	return []string{w.cert, w.key, w.clientCA}
}

func (w *certificates) stamps() ([]fileStamp, error) {
	var stamps []fileStamp
	for _, file := range w.files() {
		stamp, err := stampOf(file)
		if err != nil {
			return nil, err
		}
		stamps = append(stamps, stamp)
	}
	return stamps, nil
}

func (w *certificates) read() (*loadedCertificates, error) {
	stamps, err := w.stamps()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", w.cert, w.key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: w.protocols, Certificates: []tls.Certificate{pair}}
	if w.clientCA != "" {
		if config.ClientCAs, err = readAuthorities(w.clientCA); err != nil {
			return nil, err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return &loadedCertificates{config, stamps}, nil
}

// CertificateEnd is when the first certificate ends of those that a configuration of TLSConfig's has in force: the server's
// own and the intermediate ones that it sends along.
func CertificateEnd(config *tls.Config) (first time.Time) {
	inForce, err := config.GetConfigForClient(&tls.ClientHelloInfo{})
	if err != nil {
		return time.Time{}
	}
	for _, sent := range inForce.Certificates[0].Certificate {
		one, err := x509.ParseCertificate(sent)
		if err == nil && (first.IsZero() || one.NotAfter.Before(first)) {
			first = one.NotAfter
		}
	}
	return first
}

func readAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

func (w *certificates) look(now time.Time) {
	if now.UnixNano()-w.looked.Load() < int64(lookEvery) || !w.looking.CompareAndSwap(false, true) {
		return
	}
	defer w.looking.Store(false)
	w.looked.Store(now.UnixNano())
	stamps, err := w.stamps()
	if err == nil && sameStamps(stamps, w.current.Load().stamps) {
		return
	}
	var loaded *loadedCertificates
	if err == nil {
		loaded, err = w.read()
	}
	if err == nil {
		w.current.Store(loaded)
	}
	w.report(err)
}

func sameStamps(a, b []fileStamp) bool {
	for i := range a {
		if !a[i].same(b[i]) {
			return false
		}
	}
	return true
}

// ErrPlaintext says that a listener would carry telephone numbers and keys over a network in the clear.
var ErrPlaintext = errors.New("listening beyond loopback needs TLS: give a certificate and key, or say that plain text is wanted")

// CheckListener refuses an address that others than this machine can reach, unless TLS is on or plain text is wanted.
func CheckListener(addr net.Addr, tlsOn, plainTextWanted bool) error {
	if tlsOn || plainTextWanted || isLoopback(addr) {
		return nil
	}
	return fmt.Errorf("%s: %w", addr, ErrPlaintext)
}

func isLoopback(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}
