package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/server"
)

// clientFlags are those of every command that speaks to the service.
func clientFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("address", "127.0.0.1:2357", "where the service serves gRPC")
	f.String("key-file", "", "file with the API key (default: keys/operator.key in the data folder)")
	f.String("tls-ca", "", "PEM file with the authority of the service's certificate; switches TLS on")
	f.String("tls-client-cert", "", "PEM file with this client's certificate, where the service wants one")
	f.String("tls-client-key", "", "PEM file with that certificate's key")
	f.Duration("timeout", 10*time.Second, "how long to wait for an answer")
}

// connection is a connection to the service, with a key.
type connection struct {
	*grpc.ClientConn
	timeout time.Duration
}

func connect(cmd *cobra.Command) (*connection, error) {
	f := flags{cmd.Flags()}
	return connectTo(f, f.text("address"))
}

func connectTo(f flags, address string) (*connection, error) {
	key, err := readKey(f)
	if err != nil {
		return nil, usage(err)
	}
	transport, err := transportOf(f)
	if err != nil {
		return nil, usage(err)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(bearer(key)), grpc.WithUserAgent("belpoort/"+version))
	if err != nil {
		return nil, usage(fmt.Errorf("--address: %w", err))
	}
	return &connection{conn, f.duration("timeout")}, nil
}

func readKey(f flags) (string, error) {
	path := f.text("key-file")
	if path == "" {
		path = folder(f.text("data")).operatorKey()
	}
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("no API key: %s does not exist; name the service's data folder with --data, or a key with --key-file", path)
	}
	return strings.TrimSpace(string(key)), err
}

func transportOf(f flags) (credentials.TransportCredentials, error) {
	config, err := clientTLS(f)
	if config == nil {
		return insecure.NewCredentials(), err
	}
	return credentials.NewTLS(config), nil
}

// clientTLS is nil where the service is spoken to without TLS.
func clientTLS(f flags) (*tls.Config, error) {
	authority, certificate, key := f.text("tls-ca"), f.text("tls-client-cert"), f.text("tls-client-key")
	if (certificate == "") != (key == "") || certificate != "" && authority == "" {
		return nil, errors.New("--tls-client-cert, --tls-client-key and --tls-ca belong together")
	}
	if authority == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", authority)
	}
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("--tls-client-cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// bearer sends the key with every call. It goes over plain text only because the operator chose an address without TLS;
// the service refuses such addresses beyond loopback.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

// call makes one call with the connection's patience.
func call[Q, A any](ctx context.Context, c *connection, method func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := method(ctx, request)
	return answer, refused(err)
}

// refused turns a status into an exit code and a sentence.
func refused(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	sentence := errors.New(s.Message())
	if reason, field := server.ReasonOf(err); reason != "" {
		sentence = fmt.Errorf("%s (%s)", s.Message(), reason)
		if field != "" && !strings.Contains(s.Message(), field) {
			sentence = fmt.Errorf("%s: %w", field, sentence)
		}
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.Aborted, codes.FailedPrecondition, codes.Unauthenticated,
		codes.PermissionDenied, codes.OutOfRange, codes.ResourceExhausted, codes.Unimplemented:
		return exit(exitUsage, sentence)
	default:
		return exit(exitUnavailable, sentence)
	}
}
