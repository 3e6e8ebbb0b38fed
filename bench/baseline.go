package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the baselines: a bare gRPC server that answers, the same after one append and fdatasync shared with whoever
// waits at the same time, and the same after one GET from Redis.
const (
	Echo     = "echo"
	EchoSync = "echo+fdatasync"
	EchoGet  = "echo+get"
)

// BaselineSpec is what a baseline is told, as one line of JSON on its standard input.
type BaselineSpec struct {
	Kind   string `json:"kind"`
	Sizes  Sizes  `json:"sizes"`
	Folder string `json:"folder,omitempty"` // for EchoSync: where its file is made
	Redis  string `json:"redis,omitempty"`  // for EchoGet: a URL; a few keys are set there, and expire
}

const (
	maxSpec      = 16 << 10
	maxSize      = 64 << 10
	groupLogSize = 16 << 20
)

func (b *BaselineSpec) check() error {
	for name, size := range map[string]int{
		"request": b.Sizes.Request, "answer": b.Sizes.Answer, "decision": b.Sizes.Decision, "record": b.Sizes.Record,
	} {
		if size < 1 || size > maxSize {
			return fmt.Errorf("sizes.%s %d: want 1 to %d bytes", name, size, maxSize)
		}
	}
	return nil
}

// ServeBaseline reads its specification from in, serves on a free port of loopback, writes the address to out as one line,
// and serves until in ends: when the process that started it is gone, nothing is left behind.
func ServeBaseline(ctx context.Context, in io.Reader, out io.Writer) error {
	reader := bufio.NewReader(io.LimitReader(in, maxSpec))
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the specification of the baseline: %w", err)
	}
	var spec BaselineSpec
	if err := json.Unmarshal(line, &spec); err != nil {
		return fmt.Errorf("the specification of the baseline: %w", err)
	}
	if err := spec.check(); err != nil {
		return err
	}
	work, stop, err := workOf(ctx, &spec)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Kind, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, stop())
	}
	server := grpc.NewServer()
	server.RegisterService(&echoService, &echo{answerOf(spec.Sizes.Answer), work})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintln(out, listener.Addr())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	server.Stop()
	return errors.Join(<-served, stop())
}

// workOf is what a baseline does before it answers.
func workOf(ctx context.Context, spec *BaselineSpec) (work func(context.Context) error, stop func() error, err error) {
	switch spec.Kind {
	case Echo:
		return func(context.Context) error { return nil }, func() error { return nil }, nil
	case EchoSync:
		log, err := openGroupLog(spec.Folder, spec.Sizes.Decision, groupLogSize)
		if err != nil {
			return nil, nil, err
		}
		return func(context.Context) error { return log.append() }, log.close, nil
	case EchoGet:
		return getFromRedis(ctx, spec)
	default:
		return nil, nil, errors.New("there is no such baseline")
	}
}

// redisKeys is how many keys the GETs walk over.
const redisKeys = 1024

func getFromRedis(ctx context.Context, spec *BaselineSpec) (work func(context.Context) error, stop func() error, err error) {
	options, err := redis.ParseURL(spec.Redis)
	if err != nil {
		return nil, nil, err
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	keys := make([]string, redisKeys)
	pipeline := client.Pipeline()
	for i := range keys {
		keys[i] = fmt.Sprintf("belpoort-bench:%016x", scramble(uint64(i)))
		pipeline.Set(ctx, keys[i], answerOf(spec.Sizes.Record).GetValue(), time.Hour)
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return func(ctx context.Context) error {
		return client.Get(ctx, keys[rand.IntN(redisKeys)]).Err()
	}, client.Close, nil
}

// messageOf is a message that takes so many bytes on the wire.
func messageOf(size int) *wrapperspb.BytesValue {
	payload := size
	for payload > 0 && protowire.SizeTag(1)+protowire.SizeBytes(payload) > size {
		payload--
	}
	return wrapperspb.Bytes(make([]byte, payload))
}

func answerOf(size int) *wrapperspb.BytesValue {
	m := messageOf(size)
	for i := range m.Value {
		m.Value[i] = byte(scramble(uint64(i)))
	}
	return m
}

// echo answers every request with the same bytes.
type echo struct {
	answer *wrapperspb.BytesValue
	work   func(context.Context) error
}

const echoMethod = "/belpoort.bench.Echo/Answer"

var echoService = grpc.ServiceDesc{
	ServiceName: "belpoort.bench.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Answer", Handler: answerEcho}},
}

func answerEcho(e any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := decode(new(wrapperspb.BytesValue)); err != nil {
		return nil, err
	}
	if err := e.(*echo).work(ctx); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return e.(*echo).answer, nil
}

// BaselineContestant calls a baseline over its connections with requests as large as a check's.
func BaselineContestant(kind string, conns []grpc.ClientConnInterface, sizes Sizes, cpu func() (time.Duration, error)) Contestant {
	call := func(ctx context.Context, conn int, _ uint64) error {
		return conns[conn].Invoke(ctx, echoMethod, messageOf(sizes.Request), new(wrapperspb.BytesValue))
	}
	return Contestant{Name: kind, Call: call, CPU: cpu, Baseline: true}
}
