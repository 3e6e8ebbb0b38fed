package ops

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Campaign is how a campaign stands.
type Campaign struct {
	ID            string
	Owed, Overdue int    // offers of the right of objection
	Suspended     string // why; "" for one that runs
}

// campaignGauges shows what was last told of maxCampaigns; the others are added up.
type campaignGauges struct {
	debts, suspended *prometheus.Desc
	told             func() []Campaign
}

func newCampaignGauges(told func() []Campaign) *campaignGauges {
	return &campaignGauges{
		debts: prometheus.NewDesc("belpoort_offer_debts",
			"Calls whose offer of the right of objection must still be reported, by campaign and by whether it is owed or overdue.",
			[]string{"campaign", "state"}, nil),
		suspended: prometheus.NewDesc("belpoort_campaign_suspended", "Campaigns that are suspended, by cause; 1, or their number for (other).",
			[]string{"campaign", "cause"}, nil),
		told: told,
	}
}

// Describe is the collector's.
func (g *campaignGauges) Describe(to chan<- *prometheus.Desc) { to <- g.debts; to <- g.suspended }

// Collect is the collector's.
func (g *campaignGauges) Collect(to chan<- prometheus.Metric) {
	causes := map[string]int{}
	others := Campaign{ID: other}
	for i, c := range g.told() {
		switch {
		case i < maxCampaigns:
			g.show(to, c)
			if c.Suspended != "" {
				to <- prometheus.MustNewConstMetric(g.suspended, prometheus.GaugeValue, 1, c.ID, c.Suspended)
			}
		default:
			others.Owed += c.Owed
			others.Overdue += c.Overdue
			causes[c.Suspended]++
		}
	}
	if len(causes) == 0 {
		return
	}
	g.show(to, others)
	delete(causes, "")
	for cause, n := range causes {
		to <- prometheus.MustNewConstMetric(g.suspended, prometheus.GaugeValue, float64(n), other, cause)
	}
}

func (g *campaignGauges) show(to chan<- prometheus.Metric, c Campaign) {
	to <- prometheus.MustNewConstMetric(g.debts, prometheus.GaugeValue, float64(c.Owed), c.ID, "owed")
	to <- prometheus.MustNewConstMetric(g.debts, prometheus.GaugeValue, float64(c.Overdue), c.ID, "overdue")
}

// ShowCampaigns replaces what is shown of campaigns: those that are suspended and those that owe most come first.
func (m *Metrics) ShowCampaigns(all []Campaign) {
	slices.SortFunc(all, func(a, b Campaign) int {
		return cmp.Or(-cmp.Compare(btoi(a.Suspended != ""), btoi(b.Suspended != "")), -cmp.Compare(a.Overdue, b.Overdue), cmp.Compare(a.ID, b.ID))
	})
	m.standings.Store(&all)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Standings is what was last told of campaigns.
func (m *Metrics) Standings() []Campaign {
	if all := m.standings.Load(); all != nil {
		return *all
	}
	return nil
}
