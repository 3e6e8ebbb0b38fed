package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// AGI is the contestant that asks the service over FastAGI, as Asterisk does, about callees who may be called.
const AGI = "agi"

// exchange is a telephone exchange with calls to ask about, each over a connection of its own.
type exchange struct {
	population   Population
	address, key string
	began        int64 // in Unix seconds: with a call's number it is the call's id
}

// Exchange asks over FastAGI, with a key, at an address such as 127.0.0.1:4573. A call lasts from the connection's opening
// until the service has ended it, for no earlier does a dialplan go on.
func (s *Service) Exchange(address, key string, cpu func() (time.Duration, error)) Contestant {
	x := &exchange{population: s.population, address: address, key: key, began: time.Now().Unix()}
	return Contestant{Name: AGI, Call: x.call, CPU: cpu}
}

func (x *exchange) call(ctx context.Context, _ int, n uint64) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", x.address)
	if err != nil {
		return fastAGIFailed("no connection", err)
	}
	defer conn.Close()
	if deadline, bounded := ctx.Deadline(); bounded {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, x.introduction(n)); err != nil {
		return fastAGIFailed("the introduction was not taken", err)
	}
	told, err := converse(conn)
	if err != nil {
		return err
	}
	return judge(told)
}

// introduction is what Asterisk 22 sends before the first command.
func (x *exchange) introduction(n uint64) string {
	q := question(x.population.AllowedNumber(n))
	return fmt.Sprintf(`agi_network: yes
agi_network_script: check
agi_request: agi://%s/check
agi_channel: PJSIP/bench-%08x
agi_language: nl
agi_type: PJSIP
agi_uniqueid: %d.%d
agi_version: 22.10.1
agi_callerid: unknown
agi_calleridname: unknown
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: unknown
agi_rdnis: unknown
agi_context: outbound
agi_extension: bench
agi_priority: 3
agi_enhanced: 0.0
agi_accountcode:
agi_threadid: 1
agi_arg_1: key=%s
agi_arg_2: callee=%s
agi_arg_3: campaign=%s
agi_arg_4: caller_id=%s

`, x.address, uint32(n), x.began, n, x.key, q.GetCallee(), q.GetCampaign(), q.GetCallerId())
}

// converse takes commands until the service ends the conversation, and returns the variables that it set.
func converse(conn net.Conn) (map[string]string, error) {
	told := map[string]string{}
	in := bufio.NewReader(io.LimitReader(conn, maxReply))
	for {
		command, err := in.ReadString('\n')
		if err == io.EOF && command == "" {
			return told, nil
		}
		if err != nil {
			return nil, fastAGIFailed("the conversation broke off", err)
		}
		if setting, sets := strings.CutPrefix(command, "SET VARIABLE "); sets {
			name, value, _ := strings.Cut(strings.TrimSpace(setting), " ")
			told[name] = strings.Trim(value, `"`)
		}
		if _, err := io.WriteString(conn, "200 result=1\n"); err != nil {
			return nil, fastAGIFailed("an answer was not taken", err)
		}
	}
}

// judge holds the variables of a call against what they must be.
func judge(told map[string]string) error {
	want := belpoortv1.Verdict_VERDICT_ALLOW
	word, reason := told["BELPOORT_VERDICT"], told["BELPOORT_REASON"]
	got, decided := belpoortv1.Verdict_value["VERDICT_"+word]
	switch {
	case mutantBenchAnyVerdict:
		return nil
	case word == "":
		return status.Error(codes.Unavailable, "FastAGI: the conversation ended without a verdict; no more than 256 may be held at once")
	case !decided:
		return status.Errorf(codes.Unknown, "FastAGI: %s, %s", word, reason)
	case belpoortv1.Verdict(got) != want:
		return &WrongVerdict{want, belpoortv1.Verdict(got), belpoortv1.Reason(belpoortv1.Reason_value["REASON_"+reason])}
	case told["BELPOORT_PERMIT"] == "" || told["BELPOORT_DECISION"] == "":
		return status.Error(codes.Unknown, "FastAGI: ALLOW without its permit or decision")
	}
	return nil
}

// fastAGIFailed names a failure without the ports, which differ each time.
func fastAGIFailed(what string, err error) error {
	if network, ok := err.(*net.OpError); ok {
		err = network.Err
	}
	return status.Errorf(codes.Unavailable, "FastAGI: %s: %v", what, err)
}
