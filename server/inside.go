package server

import (
	"context"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// inside is the way within the process to the services: for doors that speak something else than gRPC. Whoever comes this
// way meets what those on the network meet: authentication, limits, deadlines and the counting.
type inside struct {
	grpc *grpc.Server
	pipe *bufconn.Listener
	conn *grpc.ClientConn
	once sync.Once
}

// The sizes of the way within the process. Its answers hold all that is known of a callee, or a whole catalogue.
const (
	insidePipe   = 256 << 10
	insideAnswer = 64 << 20
)

// Inside is a connection within the process to this server's services. It carries no identity of its own: each request
// needs a key. It works between Start and Stop.
func (s *Server) Inside() grpc.ClientConnInterface { return s.inside.conn }

func (s *Server) openInside() (*inside, error) {
	pipe := bufconn.Listen(insidePipe)
	conn, err := grpc.NewClient("passthrough:inside",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(insideAnswer)))
	if err != nil {
		return nil, err
	}
	options := append(s.handling(), grpc.ChainUnaryInterceptor(throughDoor), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(insideAnswer),
		grpc.MaxHeaderListSize(maxHeaderBytes), grpc.MaxConcurrentStreams(math.MaxUint32)) // checks and writes have bounds of their own
	i := &inside{grpc: grpc.NewServer(options...), pipe: pipe, conn: conn}
	s.register(i.grpc)
	return i, nil
}

func (i *inside) serve() { go func() { _ = i.grpc.Serve(i.pipe) }() } // its only end is finish or cut

// finish lets requests under way come to their end.
func (i *inside) finish() {
	i.grpc.GracefulStop()
	i.close()
}

func (i *inside) cut() {
	i.grpc.Stop()
	i.close()
}

func (i *inside) close() {
	i.once.Do(func() {
		_ = i.conn.Close()
		_ = i.pipe.Close()
	})
}
