package ledger

import (
	"errors"
	"strings"
	"testing"
)

// TestServerSettings takes those that no server here can be given, and those that it can.
func TestServerSettings(t *testing.T) {
	good := serverSettings{version: 140000, name: "14.0", encoding: "UTF8", fsync: "on", level: "on"}
	for _, c := range []struct {
		change func(*serverSettings)
		says   []string // none: accepted
	}{
		{change: func(*serverSettings) {}},
		{change: func(s *serverSettings) { s.version = 180001 }},
		{change: func(s *serverSettings) { s.level = "remote_apply" }},
		{change: func(s *serverSettings) { s.level = "remote_write" }},
		{change: func(s *serverSettings) { s.level = "local" }},
		{change: func(s *serverSettings) { s.standbys = "b" }},
		{func(s *serverSettings) { s.version, s.name = 130022, "13.22" }, []string{"13.22", "want 14 or newer", "upgrade the server"}},
		{func(s *serverSettings) { s.encoding = "SQL_ASCII" }, []string{"SQL_ASCII", "ENCODING 'UTF8'"}},
		{func(s *serverSettings) { s.fsync = "off" }, []string{"fsync is off", "set fsync = on"}},
		{func(s *serverSettings) { s.level = "off" }, []string{"synchronous_commit is off", "set it to on"}},
		{func(s *serverSettings) { s.level, s.standbys = "local", "b" }, []string{"synchronous_commit is local", `"b"`, "set it to on"}},
	} {
		s := good
		c.change(&s)
		err := s.check()
		if (err != nil) != (len(c.says) > 0) || err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%+v: %v", s, err)
		}
		for _, want := range c.says {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %q does not say %q", s, err, want)
			}
		}
	}
}
