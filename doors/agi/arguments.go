package agi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/belpoort/belpoort/doors"
)

// arguments are what the dialplan told: name=value, in the query of agi://host/script?name=value and in the arguments of the
// AGI application.
type arguments struct {
	script string
	key    string // the API key
	style  string // "" or vicidial
	fields doors.Fields
}

// The arguments that are not fields of a question.
const (
	keyArgument  = "key"
	modeArgument = "mode"
	vicidial     = "vicidial"
)

// reasonArgument is why a dialplan's argument is not taken.
const reasonArgument = doors.ReasonWord

func wrongArgument(format string, args ...any) error {
	return &doors.Trouble{Code: doors.Wrong, Reason: reasonArgument, Sentence: fmt.Sprintf(format, args...)}
}

// arguments reads what the exchange told. The script is right also where an argument is not.
func (c *conversation) arguments(names *doors.Names) (*arguments, error) {
	script, query, _ := strings.Cut(strings.TrimPrefix(c.told["agi_network_script"], "/"), "?")
	a := &arguments{script: script, fields: doors.Fields{}}
	for part := range strings.SplitSeq(query, "&") {
		// In a query of ours a plus stays one: numbers begin with it.
		text, err := url.PathUnescape(part)
		if err != nil {
			return a, wrongArgument("the query is badly escaped")
		}
		if err := a.add(names, text); err != nil {
			return a, err
		}
	}
	for i := 1; i <= maxLines; i++ {
		text, given := c.told["agi_arg_"+strconv.Itoa(i)]
		if !given {
			break
		}
		if err := a.add(names, text); err != nil {
			return a, err
		}
	}
	return a, nil
}

// add takes one argument. One without value counts as not given: so an unset variable of the dialplan is written out.
func (a *arguments) add(names *doors.Names, text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	name, value, found := strings.Cut(text, "=")
	switch {
	case !found:
		return wrongArgument("an argument lacks its name: want name=value")
	case value == "":
		return nil
	case name == keyArgument && a.key != "", name == modeArgument && value == vicidial && a.style != "":
		return wrongArgument("%s is told twice", name)
	case name == keyArgument:
		a.key = value
		return nil
	case name == modeArgument && value == vicidial:
		a.style = value
		return nil
	}
	known := len(a.fields)
	if err := a.fields.Add(names, name, value); err != nil {
		return err
	}
	if len(a.fields) == known {
		return wrongArgument("there is an argument of a name that means nothing, such as one misspelt")
	}
	return nil
}
