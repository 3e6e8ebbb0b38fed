package loader

import (
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// kinds is the table of everything that a file may say: per kind its columns, what else they may be called, and where
// their cells go. What a word or date may look like stands with vocabulary and readMoment.
var kinds = map[Kind]kind{
	ListEntries: listEntries,
	CallReports: callReports,
	Consents: {
		field: "fact.consent",
		begin: func() *draft { return &draft{consent: &belpoortv1.Consent{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: d.consent}}
		},
		columns: []column{
			calleeColumn, recordIDColumn,
			{
				name: "consent_id", field: "consent_id", as: text, required: true,
				headers: []string{"id", "consent", "toestemming_id", "toestemmingsnummer", "toestemming_nummer", "kenmerk"},
				set:     func(d *draft, v value) { d.consent.ConsentId = v.text },
			},
			{
				name: "organisations", field: "organisations", as: list, required: true,
				headers: append([]string{"organisation", "organisaties", "ontvanger", "ontvangers"}, organisationHeaders...),
				set:     func(d *draft, v value) { d.consent.Organisations = v.list },
			},
			{
				name: "products", field: "products", as: list, required: true,
				headers: []string{"product", "producten"},
				set:     func(d *draft, v value) { d.consent.Products = v.list },
			},
			{
				name: "purposes", field: "purposes", as: words, words: purposeWords, required: true,
				headers: []string{"purpose", "doel", "doelen"},
				set:     func(d *draft, v value) { d.consent.Purposes = enums[belpoortv1.Purpose](v.words) },
			},
			{
				name: "channels", field: "channels", as: words, words: channelWords,
				headers: []string{"channel", "kanaal", "kanalen"},
				set:     func(d *draft, v value) { d.consent.Channels = enums[belpoortv1.Channel](v.words) },
			},
			{
				name: "person", field: "person", as: text, required: true,
				headers: []string{"persoon", "naam", "name", "klant", "klantnummer", "customer", "customer_id", "relatienummer"},
				set:     func(d *draft, v value) { d.consent.Person = v.text },
			},
			{
				name: "given_at", field: "give_time", as: moment, required: true,
				headers: []string{"give_time", "gegeven_op", "toestemming_op", "datum_toestemming", "toestemmingsdatum", "consent_date", "opt_in_datum", "opt_in_date"},
				set:     func(d *draft, v value) { d.consent.GiveTime = v.time },
			},
			{
				name: "method", field: "method", as: word, words: methodWords, required: true,
				headers: []string{"methode", "wijze", "toestemming_methode", "toestemming_via", "hoe"},
				set:     func(d *draft, v value) { d.consent.Method = belpoortv1.ConsentMethod(v.word) },
			},
			{
				name: "source", field: "source", as: text, required: true,
				headers: []string{"bron", "herkomst", "website", "pagina", "partner", "url"},
				set:     func(d *draft, v value) { d.consent.Source = v.text },
			},
			{
				name: "wording", field: "wording", as: text, required: true,
				headers: []string{"tekst", "tekstversie", "tekst_versie", "toestemmingstekst", "versie_tekst"},
				set:     func(d *draft, v value) { d.consent.Wording = v.text },
			},
			{
				name: "evidence_uri", field: "evidence.uri", as: text, required: true,
				headers: []string{"evidence", "evidence_url", "bewijs", "bewijs_url", "bewijsstuk", "opname", "recording"},
				set:     func(d *draft, v value) { evidenceOf(&d.consent.Evidence).Uri = v.text },
			},
			{
				name: "evidence_sha256", field: "evidence.sha256", as: sha256, required: true,
				headers: []string{"sha256", "sha_256", "bewijs_sha256", "bewijs_hash", "hash"},
				set:     func(d *draft, v value) { evidenceOf(&d.consent.Evidence).Sha256 = v.text },
			},
			{
				name: "verified_via", field: "verified.method", as: word, words: verificationWords,
				headers: []string{"verified_method", "verified_by", "geverifieerd_via", "geverifieerd_per", "verificatie", "bevestigd_via", "bevestigd_per"},
				set:     func(d *draft, v value) { verifiedOf(d).Method = belpoortv1.VerificationMethod(v.word) },
			},
			{
				name: "verified_at", field: "verified.verify_time", as: moment,
				headers: []string{"verify_time", "geverifieerd_op", "verificatie_op", "verificatiedatum", "bevestigd_op"},
				set:     func(d *draft, v value) { verifiedOf(d).VerifyTime = v.time },
			},
			{
				name: "expires_at", field: "expire_time", as: moment,
				headers: []string{"expire_time", "geldig_tot", "verloopt_op", "einddatum"},
				set:     func(d *draft, v value) { d.consent.ExpireTime = v.time },
			},
			{
				name: "first_call_within", field: "first_call_within", as: duration,
				headers: []string{"eerste_oproep_binnen", "eerste_gesprek_binnen", "bellen_binnen"},
				set:     func(d *draft, v value) { d.consent.FirstCallWithin = v.text },
			},
			{
				name: "active_act", field: "preticked", as: yesNo,
				headers: []string{"actieve_handeling", "zelf_aangevinkt"},
				set:     func(d *draft, v value) { d.consent.Preticked = !v.yes },
			},
			{
				name: "bundled", field: "bundled", as: yesNo, headers: []string{"gebundeld"},
				set: func(d *draft, v value) { d.consent.Bundled = v.yes },
			},
			{
				name: "own_initiative", field: "own_initiative", as: yesNo, headers: []string{"eigen_initiatief", "op_eigen_initiatief"},
				set: func(d *draft, v value) { d.consent.OwnInitiative = v.yes },
			},
		},
	},
	Withdrawals: {
		field: "fact.withdrawal",
		begin: func() *draft { return &draft{withdrawal: &belpoortv1.Withdrawal{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Withdrawal{Withdrawal: d.withdrawal}}
		},
		columns: []column{
			calleeColumn, shortRecordIDColumn,
			{
				name: "consent_id", field: "consent_id", as: text,
				headers: []string{"consent", "toestemming_id", "toestemmingsnummer", "toestemming_nummer"},
				set:     func(d *draft, v value) { d.withdrawal.ConsentId = v.text },
			},
			{
				name: "organisation", field: "organisation", as: text, headers: organisationHeaders,
				set: func(d *draft, v value) { d.withdrawal.Organisation = v.text },
			},
			{
				name: "at", field: "withdraw_time", as: latest, required: true,
				headers: []string{"withdraw_time", "withdrawn_at", "ingetrokken_op", "intrekking_op", "datum_intrekking", "datum", "date"},
				set:     func(d *draft, v value) { d.withdrawal.WithdrawTime = v.time },
			},
			{
				name: "via", field: "via", as: word, words: viaWords, required: true, headers: []string{"kanaal", "hoe", "ontvangen_via"},
				set: func(d *draft, v value) { d.withdrawal.Via = belpoortv1.Via(v.word) },
			},
		},
	},
	Relationships: {
		field: "fact.relationship",
		begin: func() *draft { return &draft{relationship: &belpoortv1.Relationship{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Relationship{Relationship: d.relationship}}
		},
		columns: []column{
			calleeColumn, shortRecordIDColumn,
			{
				name: "kind", field: "kind", as: word, words: relationshipWords, required: true,
				headers: []string{"soort", "relatie", "type", "soort_relatie", "relationship"},
				set:     func(d *draft, v value) { d.relationship.Kind = belpoortv1.RelationshipKind(v.word) },
			},
			{
				name: "organisation", field: "organisation", as: text, required: true, headers: organisationHeaders,
				set: func(d *draft, v value) { d.relationship.Organisation = v.text },
			},
			{
				name: "product", field: "product", as: text, headers: []string{"goed_doel", "cause", "titel"},
				set: func(d *draft, v value) { d.relationship.Product = v.text },
			},
			{
				name: "started_at", field: "start_time", as: moment, required: true,
				headers: []string{"start_time", "started", "since", "sinds", "begonnen_op", "ingangsdatum", "startdatum", "verkregen_op", "datum"},
				set:     func(d *draft, v value) { d.relationship.StartTime = v.time },
			},
			{
				name: "ended_at", field: "end_time", as: moment,
				headers: []string{"end_time", "ended", "until", "tot", "beeindigd_op", "beëindigd_op", "geeindigd_op", "geëindigd_op", "einddatum", "opgezegd_op"},
				set:     func(d *draft, v value) { d.relationship.EndTime = v.time },
			},
			{
				name: "number_from", field: "number_source", as: word, words: numberSourceWords,
				headers: []string{"number_source", "nummer_van", "nummerbron", "herkomst_nummer"},
				set:     func(d *draft, v value) { d.relationship.NumberSource = belpoortv1.NumberSource(v.word) },
			},
			{
				name: "objection_offered_at_collection", field: "no_objection_offer_at_collection", as: yesNo, required: true,
				headers: []string{"objection_offered", "verzet_aangeboden", "verzet_geboden", "recht_van_verzet_aangeboden"},
				set:     func(d *draft, v value) { d.relationship.NoObjectionOfferAtCollection = !v.yes },
			},
		},
	},
	CallRequests: {
		field: "fact.call_request",
		begin: func() *draft { return &draft{callRequest: &belpoortv1.CallRequest{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallRequest{CallRequest: d.callRequest}}
		},
		columns: []column{
			calleeColumn, shortRecordIDColumn,
			{
				name: "organisation", field: "organisation", as: text, required: true, headers: organisationHeaders,
				set: func(d *draft, v value) { d.callRequest.Organisation = v.text },
			},
			{
				name: "product", field: "product", as: text, required: true, headers: []string{"onderwerp", "over"},
				set: func(d *draft, v value) { d.callRequest.Product = v.text },
			},
			{
				name: "requested_at", field: "request_time", as: moment, required: true,
				headers: []string{"request_time", "gevraagd_op", "aangevraagd_op", "datum_aanvraag", "datum", "date"},
				set:     func(d *draft, v value) { d.callRequest.RequestTime = v.time },
			},
			{
				name: "call_at", field: "call_time", as: moment,
				headers: []string{"call_time", "bellen_op", "terugbellen_op", "afspraak", "appointment"},
				set:     func(d *draft, v value) { d.callRequest.CallTime = v.time },
			},
			{
				name: "source", field: "source", as: text, headers: []string{"bron", "herkomst", "pagina", "website", "url"},
				set: func(d *draft, v value) { d.callRequest.Source = v.text },
			},
			{
				name: "evidence_uri", field: "evidence.uri", as: text,
				headers: []string{"evidence", "evidence_url", "bewijs", "bewijs_url", "bewijsstuk", "opname", "recording"},
				set:     func(d *draft, v value) { evidenceOf(&d.callRequest.Evidence).Uri = v.text },
			},
			{
				name: "evidence_sha256", field: "evidence.sha256", as: sha256,
				headers: []string{"sha256", "sha_256", "bewijs_sha256", "bewijs_hash", "hash"},
				set:     func(d *draft, v value) { evidenceOf(&d.callRequest.Evidence).Sha256 = v.text },
			},
		},
	},
	Objections: {
		field: "fact.objection",
		begin: func() *draft { return &draft{objection: &belpoortv1.Objection{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: d.objection}}
		},
		columns: []column{
			calleeColumn, shortRecordIDColumn,
			{
				name: "organisation", field: "organisation", as: text, required: true, headers: organisationHeaders,
				set: func(d *draft, v value) { d.objection.Organisation = v.text },
			},
			{
				name: "at", field: "object_time", as: latest, required: true,
				headers: []string{"object_time", "objected_at", "verzet_op", "datum_verzet", "bezwaar_op", "datum_bezwaar", "opt_out_datum", "opt_out_date", "datum", "date"},
				set:     func(d *draft, v value) { d.objection.ObjectTime = v.time },
			},
			{
				name: "via", field: "via", as: word, words: viaWords, required: true, headers: []string{"kanaal", "hoe", "ontvangen_via"},
				set: func(d *draft, v value) { d.objection.Via = belpoortv1.Via(v.word) },
			},
			{
				name: "scope", field: "scope", as: word, words: scopeWords, headers: []string{"reikwijdte", "bereik"},
				set: func(d *draft, v value) { d.objection.Scope = belpoortv1.ObjectionScope(v.word) },
			},
			{
				name: "product", field: "product", as: text,
				set: func(d *draft, v value) { d.objection.Product = v.text },
			},
			{
				name: "own_words", field: "own_words", as: text, headers: []string{"eigen_woorden", "toelichting"},
				set: func(d *draft, v value) { d.objection.OwnWords = v.text },
			},
			{
				name: "by", field: "by", as: word, words: objectedByWords, headers: []string{"door", "wie"},
				set: func(d *draft, v value) { d.objection.By = belpoortv1.ObjectedBy(v.word) },
			},
		},
	},
	Subscribers: {
		field: "fact.subscriber",
		begin: func() *draft { return &draft{subscriber: &belpoortv1.Subscriber{}} },
		fact: func(d *draft) *belpoortv1.Fact {
			return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: d.subscriber}}
		},
		columns: []column{
			calleeColumn, shortRecordIDColumn,
			{
				name: "kind", field: "kind", as: word, words: subscriberWords, required: true,
				headers: []string{"soort", "rechtsvorm", "legal_form", "type"},
				set:     func(d *draft, v value) { d.subscriber.Kind = belpoortv1.SubscriberKind(v.word) },
			},
			{
				name: "private_line", field: "private_line", as: yesNo, headers: []string{"prive_lijn", "privé_lijn", "eigen_mobiel"},
				set: func(d *draft, v value) { d.subscriber.PrivateLine = v.yes },
			},
			{
				name: "published_for_unsolicited", field: "published_for_unsolicited", as: yesNo,
				headers: []string{"gepubliceerd", "gepubliceerd_voor_ongevraagd"},
				set:     func(d *draft, v value) { d.subscriber.PublishedForUnsolicited = v.yes },
			},
			{
				name: "established_in", field: "established_in", as: text, headers: []string{"land", "country", "gevestigd_in"},
				set: func(d *draft, v value) { d.subscriber.EstablishedIn = v.text },
			},
			{
				name: "born", field: "born", as: date, headers: []string{"geboren", "geboren_op", "geboortedatum", "date_of_birth"},
				set: func(d *draft, v value) { d.subscriber.Born = v.text },
			},
			{
				name: "since", field: "since_time", as: moment, headers: []string{"since_time", "sinds", "vanaf", "ingangsdatum"},
				set: func(d *draft, v value) { d.subscriber.SinceTime = v.time },
			},
		},
	},
}

func enums[E ~int32](words []int32) []E {
	var out []E
	for _, w := range words {
		out = append(out, E(w))
	}
	return out
}

// evidenceOf is the evidence, made where there is none yet: an empty cell makes none.
func evidenceOf(e **belpoortv1.Evidence) *belpoortv1.Evidence {
	if *e == nil {
		*e = &belpoortv1.Evidence{}
	}
	return *e
}

func verifiedOf(d *draft) *belpoortv1.Verification {
	if d.consent.Verified == nil {
		d.consent.Verified = &belpoortv1.Verification{}
	}
	return d.consent.Verified
}
