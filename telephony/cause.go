package telephony

// Cause says why a text is no telephone number. It is the error that Canonical returns: compare it with errors.Is or
// errors.As. The value is stable and may stand in reports and metrics; no Cause ever holds a digit of the input.
type Cause string

// The causes.
const (
	TooLong      Cause = "too long"                  // over 40 bytes, over 15 digits, or longer than any number of its country
	BadCharacter Cause = "bad character"             // anything but ASCII digits, space, hyphen, dot, parentheses and one plus in front
	TooShort     Cause = "too short"                 // under 7 digits with the country code, or shorter than any number of its country
	NotANumber   Cause = "not a number"              // no digits, misplaced parentheses, or an optional zero that leaves two readings
	ShortCode    Cause = "short code"                // 112, 14020, 18xy, 116xxx: dialled as they are, no subscriber's number
	NoPrefix     Cause = "no prefix"                 // begins with neither plus, 00 nor 0: whose number it is would be a guess
	NotInCountry Cause = "not valid in that country" // no country has this calling code, or its numbers are not written so
)

var sentences = map[Cause]string{
	TooLong:      "has more digits or bytes than a telephone number may have",
	BadCharacter: "may hold only digits, spaces, hyphens, dots, parentheses and one plus in front",
	TooShort:     "has fewer digits than a telephone number has",
	NotANumber:   "cannot be read as one telephone number",
	ShortCode:    "is a short code, not a subscriber's number",
	NoPrefix:     "must begin with a plus or two zeros and the country code, or with one zero for a Dutch number",
	NotInCountry: "is not written as a number of the country it names, or no country has that code",
}

// Error is a sentence that is safe to show and to log.
func (c Cause) Error() string { return string(c) + ": the telephone number " + sentences[c] }
