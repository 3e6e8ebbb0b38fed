package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// agiScript is where objections are taken as telephone exchanges send them.
const agiScript = "objection"

// maxAGIAnswer bounds what is read of a conversation.
const maxAGIAnswer = 64 << 10

// newAGI is the door of FastAGI at an address such as gate1:4573. It goes by the clock of the first node.
func (d *drill) newAGI(f flags, address string) (door, error) {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return door{}, fmt.Errorf("--agi %q: want an address such as 127.0.0.1:4573", address)
	}
	key, err := readKey(f)
	if err != nil {
		return door{}, err
	}
	within := f.duration("timeout")
	return door{"agi " + address, d.nodes[0], func(ctx context.Context, d *drill) (time.Time, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return d.objectAt(ctx, address, key)
	}}, nil
}

// objectAt holds a conversation as Asterisk does, in which it hears a receipt and no time.
func (d *drill) objectAt(ctx context.Context, address, key string) (time.Time, error) {
	heard, err := d.converse(ctx, address, key)
	if err != nil {
		return time.Time{}, err
	}
	switch state := heard["BELPOORT_STATE"]; {
	case state == "":
		return time.Time{}, errors.New("the conversation ended without a state: may this machine connect (--agi-from)?")
	case state != "IN_FORCE":
		return time.Time{}, fmt.Errorf("the exchange was told %s %s", state, heard["BELPOORT_REASON"])
	}
	d.receipt = heard["BELPOORT_RECEIPT"]
	return time.Time{}, nil
}

// recorded is when the objection with the receipt was recorded.
func (d *drill) recorded(ctx context.Context) (time.Time, error) {
	n := d.nodes[0]
	answer, err := call(ctx, n.connection, belpoortv1.NewObjectionServiceClient(n).GetObjection, &belpoortv1.GetObjectionRequest{Receipt: d.receipt})
	return answer.GetRecordTime().AsTime(), err
}

// converse gives the variables that are set in the exchange's call.
func (d *drill) converse(ctx context.Context, address, key string) (map[string]string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, unaddressed(err)
	}
	defer conn.Close()
	if limit, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(limit); err != nil {
			return nil, err
		}
	}
	_, err = fmt.Fprintf(conn, "agi_network: yes\nagi_network_script: %s\nagi_request: agi://%s/%s\n"+
		"agi_arg_1: key=%s\nagi_arg_2: callee=%s\nagi_arg_3: campaign=%s\nagi_arg_4: via=IVR\nagi_arg_5: request_id=%s\n\n",
		agiScript, address, agiScript, key, d.canary.GetNumber(), d.canary.GetCampaign(), d.key())
	if err != nil {
		return nil, unaddressed(err)
	}
	return takeCommands(conn)
}

// takeCommands does what it is told until the other side ends the conversation.
func takeCommands(conn net.Conn) (map[string]string, error) {
	heard := map[string]string{}
	commands := bufio.NewScanner(io.LimitReader(conn, maxAGIAnswer))
	for commands.Scan() {
		if rest, is := strings.CutPrefix(commands.Text(), "SET VARIABLE "); is {
			name, value, _ := strings.Cut(rest, " ")
			heard[name] = strings.Trim(value, `"`)
		}
		if _, err := io.WriteString(conn, "200 result=1\n"); err != nil {
			return heard, unaddressed(err)
		}
	}
	if err := commands.Err(); err != nil && heard["BELPOORT_STATE"] == "" {
		return nil, unaddressed(err)
	}
	return heard, nil
}
