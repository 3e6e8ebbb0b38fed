package doors

import "strings"

// Languages in which answers are spoken; the first where nobody asks for one.
var Languages = []string{"nl", "en"}

// Aloud is a receipt as a voice must say it: character by character, with a pause between the groups.
func Aloud(receipt string) string {
	groups := strings.Split(receipt, "-")
	for i, group := range groups {
		groups[i] = strings.Join(strings.Split(group, ""), " ")
	}
	return strings.Join(groups, ", ")
}

// Sentence tells a caller what became of an objection, without the receipt. Only one that is in force holds "from now on".
func (o *Objected) Sentence(language string) string {
	switch {
	case language == "en" && o.InForce:
		return "Your objection has been registered and holds from now on."
	case language == "en":
		return "Your objection has been received and will be in force everywhere as soon as possible."
	case o.InForce:
		return "Uw verzet is geregistreerd en geldt vanaf nu."
	default:
		return "Uw verzet is ontvangen en geldt zo snel mogelijk overal."
	}
}

// ReceiptSentence introduces the receipt.
func ReceiptSentence(language string) string {
	if language == "en" {
		return "Your receipt number is:"
	}
	return "Uw ontvangstnummer is:"
}

// FailedSentence tells a caller that nothing is known to be registered.
func FailedSentence(language string) string {
	if language == "en" {
		return "Your objection could not be registered. Please try again, or tell it to one of our employees."
	}
	return "Uw verzet kon niet worden geregistreerd. Probeer het opnieuw, of geef het door aan een medewerker."
}
