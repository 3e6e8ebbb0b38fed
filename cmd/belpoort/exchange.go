package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/doors"
	"github.com/belpoort/belpoort/doors/agi"
	"github.com/belpoort/belpoort/server"
)

// exchangeDoor is the node's FastAGI, where it has one.
type exchangeDoor struct {
	address string
	from    []netip.Prefix
	listen  net.Listener
	door    *agi.Door
	serving string // where; "" where it is shut
}

// exchangeOptions reads the flags of FastAGI.
func exchangeOptions(f flags) (exchangeDoor, error) {
	x := exchangeDoor{address: f.text("agi")}
	for _, text := range f.texts("agi-from") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return x, fmt.Errorf("--agi-from %q: want a network such as 192.0.2.0/24, or 192.0.2.7/32 for one address", text)
		}
		x.from = append(x.from, network.Masked())
	}
	if x.address == "" && len(x.from) > 0 {
		return x, errors.New("--agi-from needs --agi")
	}
	return x, nil
}

// open takes the port. Beyond loopback somebody must have said that the network encrypts, and who may come.
func (x *exchangeDoor) open(plaintext bool) error {
	if x.address == "" {
		return nil
	}
	listen, err := net.Listen("tcp", x.address)
	if err != nil {
		return fmt.Errorf("--agi: %w", err)
	}
	x.listen = listen
	if err := server.CheckListener(listen.Addr(), false, plaintext); err != nil {
		return fmt.Errorf("--agi: FastAGI knows no TLS: %w", err)
	}
	if loopback := server.CheckListener(listen.Addr(), false, false) == nil; !loopback && len(x.from) == 0 {
		return fmt.Errorf("--agi %s: beyond loopback, name the exchanges' networks with --agi-from", listen.Addr())
	}
	return nil
}

func (x *exchangeDoor) serve(s *server.Server, names *doors.Names, log *zap.Logger) error {
	if x.listen == nil {
		return nil
	}
	door, err := agi.New(agi.Options{Gate: doors.NewGate(s.Inside(), "agi"), Names: names, From: x.from, Log: log})
	if err != nil {
		return err
	}
	listen := x.listen
	x.door, x.listen = door, nil // the door closes it
	x.serving = listen.Addr().String()
	go func() {
		if err := door.Serve(listen); err != nil {
			log.Error("FastAGI is no longer served", zap.Error(err))
		}
	}()
	return nil
}

// close lets conversations finish, while the services they ask still answer.
func (x *exchangeDoor) close(ctx context.Context) error {
	switch {
	case x.door != nil:
		return x.door.Close(ctx)
	case x.listen != nil:
		return x.listen.Close()
	default:
		return nil
	}
}
