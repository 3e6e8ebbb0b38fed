// Package client is how a dialer in Go asks Belpoort: with a deadline, a second node for the slow and the dead one, no more
// repeats than an ailing service can bear, and one way to read a yes. It knows the API, and must not know how an answer
// comes about.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// DefaultDeadline is how long a check may take where Options name nothing else.
const DefaultDeadline = 50 * time.Millisecond

// Bounds of Options.Deadline.
const (
	leastDeadline = 5 * time.Millisecond
	mostDeadline  = DialWithin
)

const (
	otherDeadline  = 5 * time.Second // of everything but checks
	maxAnswer      = 256 << 10
	connectTimeout = time.Second
	pingEvery      = 20 * time.Second // the service minds pings that come faster than each 10 s
	pingTimeout    = 2 * time.Second
)

// reconnect: a node that comes back is used again within seconds.
var reconnect = grpc.ConnectParams{
	MinConnectTimeout: connectTimeout,
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
}

// methods is the beginning of the service config of one node's connection: a check is worth one repeat, reports and
// objections, which are harmless to repeat, are worth three.
const methods = `{
  "methodConfig": [
    {
      "name": [{"service": "belpoort.v1.GatekeeperService", "method": "CheckCall"}],
      "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.002s", "maxBackoff": "0.01s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
    },
    {
      "name": [
        {"service": "belpoort.v1.GatekeeperService", "method": "ReportCall"},
        {"service": "belpoort.v1.ObjectionService"}
      ],
      "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 3, "retryableStatusCodes": ["UNAVAILABLE"]}
    }
  ]`

// retryThrottling keeps repeats few: each failure costs a token, each success brings back 0.04 of one, and with half of the
// tokens gone nothing is repeated.
const retryThrottling = `, "retryThrottling": {"maxTokens": 4, "tokenRatio": 0.04}`

// serviceConfig is the standing order of a connection.
func serviceConfig() string {
	if mutantUnthrottled {
		return methods + `}`
	}
	return methods + retryThrottling + `}`
}

// Options say which service to ask, and as whom.
type Options struct {
	// Nodes are the addresses (host:port) of one deployment's nodes, the nearest first: checks go to the first that works.
	// One to eight, each once.
	Nodes []string
	// Key is the API key. Required.
	Key string
	// TLS is how the nodes are recognised, and this client to them. Nil: plain text, for nodes on loopback only.
	TLS *tls.Config
	// Plaintext allows plain text beyond loopback, where something else encrypts.
	Plaintext bool
	// Deadline is how long a check may take, with all that is done for it: 5 ms to 2 s. 0: DefaultDeadline.
	Deadline time.Duration
}

// Client asks one deployment. It may be used by many goroutines at once. It has the methods of GatekeeperServiceClient and
// ObjectionServiceClient that one call is about.
type Client struct {
	nodes      nodes
	deadline   time.Duration
	pace       pace
	budget     budget
	gatekeeper belpoortv1.GatekeeperServiceClient
	objections belpoortv1.ObjectionServiceClient
}

// Dial makes a client. It begins to connect and does not wait for it: a service that is away is no error here, but one of
// every check until it is back.
func Dial(o Options) (*Client, error) {
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{deadline: o.Deadline}
	for _, address := range o.Nodes {
		n, err := dialNode(address, &o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("client: Nodes: %q: %w", address, err), c.Close())
		}
		c.nodes = append(c.nodes, n)
	}
	c.gatekeeper = belpoortv1.NewGatekeeperServiceClient(c.nodes)
	c.objections = belpoortv1.NewObjectionServiceClient(c.nodes)
	return c, nil
}

func (o *Options) check() error {
	switch {
	case len(o.Nodes) == 0 || len(o.Nodes) > 8:
		return fmt.Errorf("client: Nodes: %d addresses, want 1 to 8", len(o.Nodes))
	case o.Key == "":
		return errors.New("client: Key is missing")
	case o.Deadline < leastDeadline || o.Deadline > mostDeadline:
		return fmt.Errorf("client: Deadline %v: want %v to %v", o.Deadline, leastDeadline, mostDeadline)
	}
	seen := map[string]bool{}
	for _, address := range o.Nodes {
		host, _, err := net.SplitHostPort(address)
		switch {
		case err != nil:
			return fmt.Errorf("client: Nodes: %w", err)
		case seen[address]:
			return fmt.Errorf("client: Nodes: %q stands here twice", address)
		case o.TLS == nil && !o.Plaintext && !loopback(host):
			return fmt.Errorf("client: Nodes: %q is beyond loopback: set TLS, or Plaintext where something else encrypts", address)
		}
		seen[address] = true
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func dialNode(address string, o *Options) (*node, error) {
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		config := o.TLS.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
		transport = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(bearer{o.Key, o.TLS != nil}),
		grpc.WithDefaultServiceConfig(serviceConfig()), grpc.WithDisableServiceConfig(), grpc.WithConnectParams(reconnect),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)), grpc.WithIdleTimeout(0),
	)
	if err != nil {
		return nil, err
	}
	n := &node{conn: conn}
	n.stayConnected()
	return n, nil
}

// bearer sends the key with every call, and over TLS only unless it was told otherwise.
type bearer struct {
	key    string
	secure bool
}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.key}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }

// Close ends all connections; what is under way fails.
func (c *Client) Close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}

// ReportCall tells what became of a call. Repeating it is harmless.
func (c *Client) ReportCall(
	ctx context.Context, req *belpoortv1.ReportCallRequest, options ...grpc.CallOption,
) (*belpoortv1.ReportCallResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, otherDeadline)
	defer cancel()
	return c.gatekeeper.ReportCall(ctx, req, options...)
}

// RegisterObjection registers an objection [recht van verzet]. Any error means that it is not known to be registered: repeat
// it with the same request_id.
func (c *Client) RegisterObjection(
	ctx context.Context, req *belpoortv1.RegisterObjectionRequest, options ...grpc.CallOption,
) (*belpoortv1.RegisterObjectionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, otherDeadline)
	defer cancel()
	return c.objections.RegisterObjection(ctx, req, options...)
}

// RecordObjectionOffer records that the right of objection was offered in a call. Repeating it is harmless.
func (c *Client) RecordObjectionOffer(
	ctx context.Context, req *belpoortv1.RecordObjectionOfferRequest, options ...grpc.CallOption,
) (*belpoortv1.RecordObjectionOfferResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, otherDeadline)
	defer cancel()
	return c.objections.RecordObjectionOffer(ctx, req, options...)
}

// GetObjection finds an objection by its receipt.
func (c *Client) GetObjection(
	ctx context.Context, req *belpoortv1.GetObjectionRequest, options ...grpc.CallOption,
) (*belpoortv1.GetObjectionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, otherDeadline)
	defer cancel()
	return c.objections.GetObjection(ctx, req, options...)
}
