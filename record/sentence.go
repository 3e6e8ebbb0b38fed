package record

import "github.com/belpoort/belpoort/eligibility"

// Sentence says a reason in one sentence that an agent could read aloud to the person called. Languages are "en" and
// "nl"; false for another language. A reason that no sentence exists for is told as "could not be checked".
func Sentence(reason eligibility.Reason, language string) (string, bool) {
	s, ok := sentences[reason]
	if !ok {
		s = sentences[eligibility.Unavailable]
	}
	switch language {
	case "en":
		return s.en, true
	case "nl":
		return s.nl, true
	default:
		return "", false
	}
}

type sentence struct{ en, nl string }

var sentences = map[eligibility.Reason]sentence{
	eligibility.OKService: {
		"We may call you because this call is about a service you use and promotes nothing.",
		"Wij mogen u bellen omdat dit gesprek over uw lopende dienst gaat en geen reclame is."},
	eligibility.OKResearch: {
		"We may call you because this call is for research and promotes nothing.",
		"Wij mogen u bellen omdat dit gesprek onderzoek is en geen reclame."},
	eligibility.OKConsent: {
		"We may call you because you gave your consent to be called.",
		"Wij mogen u bellen omdat u daarvoor toestemming hebt gegeven."},
	eligibility.OKRequested: {
		"We may call you because you asked us to call.",
		"Wij mogen u bellen omdat u ons hebt gevraagd u te bellen."},
	eligibility.OKPublished: {
		"We may call this number because it was published for calls of this kind.",
		"Wij mogen dit nummer bellen omdat het voor dit soort gesprekken bekend is gemaakt."},
	eligibility.OKOutsideEEA: {
		"We may call this number because the company is established outside the European Economic Area.",
		"Wij mogen dit nummer bellen omdat het bedrijf buiten de Europese Economische Ruimte is gevestigd."},
	eligibility.OKDonation: {
		"We may call you because you donated to this organisation.",
		"Wij mogen u bellen omdat u aan deze organisatie hebt geschonken."},
	eligibility.OKVolunteer: {
		"We may call you because you were a volunteer for this organisation.",
		"Wij mogen u bellen omdat u vrijwilliger bij deze organisatie bent of bent geweest."},
	eligibility.OKDemonstration: {
		"We may call you because you attended an event of this organisation.",
		"Wij mogen u bellen omdat u een bijeenkomst van deze organisatie hebt bijgewoond."},
	eligibility.OKPublisher: {
		"We may call you because you are, or were until a short time ago, a subscriber of this publisher.",
		"Wij mogen u bellen omdat u abonnee bij deze uitgever bent of kort geleden was."},
	eligibility.OKLottery: {
		"We may call you because you take part, or took part until a short time ago, in this lottery.",
		"Wij mogen u bellen omdat u aan deze loterij meedoet of kort geleden meedeed."},
	eligibility.OKCustomer: {
		"We may call you because you are, or were until a short time ago, a customer of this company.",
		"Wij mogen u bellen omdat u klant bij dit bedrijf bent of kort geleden was."},
	eligibility.OKLegalPerson: {
		"We may call this number because it belongs to a company and not to a private person.",
		"Wij mogen dit nummer bellen omdat het van een onderneming is en niet van een particulier."},
	eligibility.CalleeInvalid: {
		"This is not a telephone number that can be called.",
		"Dit is geen telefoonnummer dat gebeld kan worden."},
	eligibility.CalleeRange: {
		"Numbers of this kind may not be called.",
		"Nummers van deze soort mogen niet worden gebeld."},
	eligibility.JurisdictionUnsupported: {
		"We do not call, because the rules for this country or this moment are not known to us.",
		"Wij bellen niet, omdat de regels voor dit land of dit moment bij ons niet bekend zijn."},
	eligibility.CallerIDWithheld: {
		"We do not call, because the number from which we call would be withheld.",
		"Wij bellen niet, omdat het nummer waarmee wij bellen niet te zien zou zijn."},
	eligibility.CallerIDRange: {
		"We do not call, because the number that would be shown is not one that we may show.",
		"Wij bellen niet, omdat het nummer dat u zou zien niet getoond mag worden."},
	eligibility.CallerIDNotRegistered: {
		"We do not call, because the number that would be shown is not registered for this organisation.",
		"Wij bellen niet, omdat het nummer dat u zou zien niet voor deze organisatie is geregistreerd."},
	eligibility.CallerIDNotReachable: {
		"We do not call, because it is not certain that you could reach us on the number shown.",
		"Wij bellen niet, omdat niet zeker is dat u ons kunt bereiken op het nummer dat u zou zien."},
	eligibility.Objected: {
		"You are not called, because you objected to being called.",
		"U wordt niet gebeld, omdat u bezwaar hebt gemaakt tegen telefonische verkoop."},
	eligibility.Minor: {
		"You are not called, because the number belongs to somebody who is too young.",
		"U wordt niet gebeld, omdat het nummer van iemand is die te jong is."},
	eligibility.ListHit: {
		"You are not called, because the number stands on a list of people who do not want to be called.",
		"U wordt niet gebeld, omdat het nummer op een lijst staat van mensen die niet gebeld willen worden."},
	eligibility.ListStale: {
		"You are not called, because our list of people who do not want to be called is not up to date.",
		"U wordt niet gebeld, omdat onze lijst van mensen die niet gebeld willen worden niet actueel is."},
	eligibility.Withdrawn: {
		"You are not called, because you withdrew your consent.",
		"U wordt niet gebeld, omdat u uw toestemming hebt ingetrokken."},
	eligibility.ConsentExpired: {
		"You are not called, because the period of your consent is over.",
		"U wordt niet gebeld, omdat de termijn van uw toestemming voorbij is."},
	eligibility.ConsentStale: {
		"You are not called, because too much time went by after your consent without a first call.",
		"U wordt niet gebeld, omdat na uw toestemming te lang is gewacht met een eerste gesprek."},
	eligibility.ConsentUnverified: {
		"You are not called, because it was not verified that you gave the consent.",
		"U wordt niet gebeld, omdat niet is gecontroleerd dat u de toestemming zelf hebt gegeven."},
	eligibility.EvidenceMissing: {
		"You are not called, because we cannot show that you gave your consent.",
		"U wordt niet gebeld, omdat wij niet kunnen aantonen dat u toestemming hebt gegeven."},
	eligibility.ConsentScope: {
		"You are not called, because your consent is not for this product or purpose.",
		"U wordt niet gebeld, omdat uw toestemming niet voor dit product of dit doel geldt."},
	eligibility.ConsentOrganisation: {
		"You are not called, because your consent does not name this organisation.",
		"U wordt niet gebeld, omdat deze organisatie niet in uw toestemming wordt genoemd."},
	eligibility.ConsentChannel: {
		"You are not called, because your consent is not for telephone calls.",
		"U wordt niet gebeld, omdat uw toestemming niet voor telefoongesprekken geldt."},
	eligibility.RequestUsed: {
		"You are not called, because the call that you asked for has been made.",
		"U wordt niet gebeld, omdat het gesprek waar u om vroeg al heeft plaatsgevonden."},
	eligibility.RequestExpired: {
		"You are not called, because you asked for a call too long ago.",
		"U wordt niet gebeld, omdat uw verzoek om gebeld te worden te lang geleden is."},
	eligibility.TermExpired: {
		"You are not called, because too much time has gone by since you dealt with this organisation.",
		"U wordt niet gebeld, omdat het te lang geleden is dat u met deze organisatie te maken had."},
	eligibility.NumberEnriched: {
		"You are not called, because you did not give us this number yourself.",
		"U wordt niet gebeld, omdat u dit nummer niet zelf aan ons hebt gegeven."},
	eligibility.NoObjectionOfferAtCollection: {
		"You are not called, because you were not offered the chance to object when you gave your number.",
		"U wordt niet gebeld, omdat u geen bezwaar kon maken toen u uw nummer gaf."},
	eligibility.Dissimilar: {
		"You are not called, because this offer is of another kind than what you had from us.",
		"U wordt niet gebeld, omdat dit aanbod van een andere soort is dan wat u bij ons had."},
	eligibility.EntityMismatch: {
		"You are not called, because you dealt with another organisation and not with this one.",
		"U wordt niet gebeld, omdat u met een andere organisatie te maken had en niet met deze."},
	eligibility.AutomatedWithoutConsent: {
		"You are not called, because you did not consent to calls by a machine.",
		"U wordt niet gebeld, omdat u geen toestemming hebt gegeven voor automatische gesprekken."},
	eligibility.NoBasis: {
		"You are not called, because we have no ground on which we may call you.",
		"U wordt niet gebeld, omdat wij geen grond hebben om u te mogen bellen."},
	eligibility.Attempts: {
		"You are not called, because we have tried often enough.",
		"U wordt niet gebeld, omdat wij het al vaak genoeg hebben geprobeerd."},
	eligibility.AbandonedCooldown: {
		"You are not called for a while, because nobody spoke when we rang you a short time ago.",
		"U wordt voorlopig niet gebeld, omdat u kort geleden door ons bent gebeld zonder iemand te spreken."},
	eligibility.CampaignSuspended: {
		"You are not called, because this campaign is suspended.",
		"U wordt niet gebeld, omdat deze campagne is stilgelegd."},
	eligibility.Hours: {
		"You are not called now, because we do not call at this hour.",
		"U wordt nu niet gebeld, omdat wij op dit tijdstip niet bellen."},
	eligibility.Holiday: {
		"You are not called today, because we do not call on this day.",
		"U wordt vandaag niet gebeld, omdat wij op deze dag niet bellen."},
	eligibility.Unavailable: {
		"You are not called, because it could not be checked whether we may.",
		"U wordt niet gebeld, omdat niet kon worden nagegaan of het mag."},
}
