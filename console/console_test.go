package console

import (
	"reflect"
	"testing"

	"github.com/belpoort/belpoort/ops"
)

func TestCampaignsAreShownWithWhatTheyOwe(t *testing.T) {
	got := campaignsOf([]ops.CampaignCalls{{Name: "a", Allowed: 3}, {Name: "b", Refused: 1}}, []ops.Campaign{
		{ID: "b", Owed: 2, Overdue: 5, Suspended: "debts"}, {ID: "a", Overdue: 1}, {ID: "stopped", Suspended: "officer"}, {ID: "quiet", Owed: 1},
	})
	want := []campaign{
		{ops.CampaignCalls{Name: "a", Allowed: 3}, "1 overdue", "1 offers overdue, 0 owed"},
		{ops.CampaignCalls{Name: "b", Refused: 1}, "suspended: debts", "5 offers overdue, 2 owed"},
		{ops.CampaignCalls{Name: "stopped"}, "suspended: officer", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}
