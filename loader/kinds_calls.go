package loader

import (
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

var outcomeWords = newVocabulary(belpoortv1.Outcome_OUTCOME_ANSWERED.Descriptor(), map[string]belpoortv1.Outcome{
	"beantwoord":       belpoortv1.Outcome_OUTCOME_ANSWERED,
	"opgenomen":        belpoortv1.Outcome_OUTCOME_ANSWERED,
	"gesproken":        belpoortv1.Outcome_OUTCOME_ANSWERED,
	"antwoordapparaat": belpoortv1.Outcome_OUTCOME_VOICEMAIL,
	"geen gehoor":      belpoortv1.Outcome_OUTCOME_NO_ANSWER,
	"niet opgenomen":   belpoortv1.Outcome_OUTCOME_NO_ANSWER,
	"in gesprek":       belpoortv1.Outcome_OUTCOME_BUSY,
	"bezet":            belpoortv1.Outcome_OUTCOME_BUSY,
	"afgebroken":       belpoortv1.Outcome_OUTCOME_ABANDONED,
	"geen agent":       belpoortv1.Outcome_OUTCOME_ABANDONED,
	"mislukt":          belpoortv1.Outcome_OUTCOME_FAILED,
})

// listEntries are the rows of a list that must be respected, such as a suppression file of a branch of trade.
var listEntries = kind{
	field: "fact.list_entry",
	begin: func() *draft { return &draft{listEntry: &belpoortv1.ListEntry{}} },
	fact: func(d *draft) *belpoortv1.Fact {
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_ListEntry{ListEntry: d.listEntry}}
	},
	columns: []column{
		calleeColumn, shortRecordIDColumn,
		{
			name: "list", field: "list", as: text, required: true, headers: []string{"lijst", "bestand", "register"},
			set: func(d *draft, v value) { d.listEntry.List = v.text },
		},
		{
			name: "since", field: "since_time", as: moment, headers: []string{"since_time", "sinds", "vanaf", "op_lijst_sinds", "ingangsdatum"},
			set: func(d *draft, v value) { d.listEntry.SinceTime = v.time },
		},
		{
			name: "loaded_at", field: "load_time", as: moment, required: true,
			headers: []string{"load_time", "geladen_op", "stand_van", "peildatum", "datum_bestand"},
			set:     func(d *draft, v value) { d.listEntry.LoadTime = v.time },
		},
	},
}

// callReports are calls that were made elsewhere, or before Belpoort was there.
var callReports = kind{
	field: "fact.call_report",
	begin: func() *draft { return &draft{callReport: &belpoortv1.CallReport{}} },
	fact: func(d *draft) *belpoortv1.Fact {
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: d.callReport}}
	},
	columns: []column{
		calleeColumn, shortRecordIDColumn,
		{
			name: "campaign", field: "campaign", as: text, required: true, headers: []string{"campagne", "campaign_id", "campagne_id"},
			set: func(d *draft, v value) { d.callReport.Campaign = v.text },
		},
		{
			name: "dialed_at", field: "dial_time", as: moment, required: true,
			headers: []string{"dial_time", "gebeld_op", "call_date", "datum", "date", "tijdstip"},
			set:     func(d *draft, v value) { d.callReport.DialTime = v.time },
		},
		{
			name: "outcome", field: "outcome", as: word, words: outcomeWords, required: true,
			headers: []string{"uitkomst", "resultaat", "status", "disposition"},
			set:     func(d *draft, v value) { d.callReport.Outcome = belpoortv1.Outcome(v.word) },
		},
		{
			name: "ended_at", field: "end_time", as: moment, headers: []string{"end_time", "beeindigd_op", "beëindigd_op", "einde"},
			set: func(d *draft, v value) { d.callReport.EndTime = v.time },
		},
		{
			name: "objection_offered", field: "objection_offered", as: yesNo,
			headers: []string{"verzet_aangeboden", "verzet_geboden", "recht_van_verzet_aangeboden"},
			set:     func(d *draft, v value) { d.callReport.ObjectionOffered = v.yes },
		},
	},
}
