package docs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/doors"
)

func TestTheNamesOfFormsAreListed(t *testing.T) {
	var table strings.Builder
	table.WriteString("| field | also called |\n|---|---|\n")
	fields, also := doors.Known()
	for _, field := range fields {
		names := make([]string, len(also[field]))
		for i, name := range also[field] {
			names[i] = "`" + name + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s |\n", field, strings.Join(names, ", "))
	}
	generated(t, "integrations/http.md", "names", table.String())
}
