package agi

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The bounds of a conversation. An exchange on the same network answers in well under a millisecond.
const (
	maxLine      = 2048 // bytes; what Asterisk itself takes
	maxLines     = 128  // before the empty one
	helloWithin  = 2 * time.Second
	answerWithin = time.Second
	wholeWithin  = 15 * time.Second
)

// brokenError says what the exchange did wrong, in words of our own.
type brokenError struct{ sentence string }

func (e *brokenError) Error() string { return e.sentence }

func broken(format string, args ...any) error { return &brokenError{fmt.Sprintf(format, args...)} }

// errHungUp: the call or the connection ended. That is no fault: people hang up.
var errHungUp = errors.New("hung up")

// conversation is one connection of an exchange, about one call.
type conversation struct {
	conn  net.Conn
	in    *bufio.Reader
	until time.Time
	// told are the variables with which the exchange introduced the call, such as agi_uniqueid.
	told map[string]string
}

func newConversation(conn net.Conn) *conversation {
	return &conversation{conn: conn, in: bufio.NewReaderSize(conn, maxLine), until: time.Now().Add(wholeWithin), told: map[string]string{}}
}

// within gives the other side so long, and never more than is left of the whole.
func (c *conversation) within(d time.Duration) error {
	limit := time.Now().Add(d)
	if limit.After(c.until) {
		limit = c.until
	}
	return c.conn.SetDeadline(limit)
}

// line reads one line; a longer one than maxLine breaks the conversation.
func (c *conversation) line() (string, error) {
	raw, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", broken("a line is longer than %d bytes", maxLine)
	}
	if err != nil {
		return "", c.ended(err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// ended tells an end from a time-out.
func (c *conversation) ended(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return broken("the exchange was too slow")
	}
	return errHungUp
}

// hello reads how the exchange introduces the call: lines "agi_name: value" up to an empty one.
func (c *conversation) hello() error {
	if err := c.within(helloWithin); err != nil {
		return err
	}
	for range maxLines {
		text, err := c.line()
		if err != nil {
			return err
		}
		if text == "" {
			return nil
		}
		name, value, found := strings.Cut(text, ":")
		if !found || !strings.HasPrefix(name, "agi_") {
			return broken("this is no AGI: a line does not begin with agi_ and a colon")
		}
		if _, twice := c.told[name]; twice {
			return broken("the exchange says a variable twice")
		}
		c.told[name] = strings.TrimSpace(value)
	}
	return broken("more than %d lines", maxLines)
}

// set gives a variable in the exchange's call a value, and waits until it has it.
func (c *conversation) set(name, value string) error {
	return c.command("SET VARIABLE "+name, value)
}

// say writes a sentence on the exchange's console.
func (c *conversation) say(sentence string) error { return c.command("VERBOSE", "belpoort: "+sentence) }

func (c *conversation) command(command, value string) error {
	if err := c.within(answerWithin); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "%s \"%s\"\n", command, quoted(value)); err != nil {
		return c.ended(err)
	}
	text, err := c.line()
	for err == nil && text == "HANGUP" {
		text, err = c.line() // it tells of the end of the call first, and answers all the same
	}
	if err != nil {
		return err
	}
	code, rest, _ := strings.Cut(text, " ")
	switch {
	case code == "200" && strings.HasPrefix(rest, "result=1"):
		return nil
	case code == "511":
		return errHungUp
	default:
		return broken("the exchange did not take %s", command)
	}
}

// quoted makes a value safe between quotes; what is no printable ASCII never comes from us.
func quoted(value string) string {
	var b strings.Builder
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		}
	}
	return b.String()
}
