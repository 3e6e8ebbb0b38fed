package telephony

import (
	"errors"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// unknownRegion makes the library rely on the calling code alone.
const unknownRegion = "ZZ"

// secondDoors are prefixes by which subscribers of one country can be reached through another, beside their own code.
// A number must have one form, and theirs is the own one: San Marino has +378 0549, Northern Ireland +44 28.
var secondDoors = []string{"+390549", "+35348"}

// foreign normalises a number of another country by that country's own habits. An optional zero must stand right after
// the calling code and make no difference, as it would in Italy, where a leading zero belongs to the number.
func foreign(digits []byte, zeroAt int) (Number, error) {
	code := callingCodeLength(digits)
	if zeroAt >= 0 && zeroAt != code {
		return Number{}, NotANumber
	}
	written := "+" + string(digits)
	n, err := normalised(written, code)
	if err != nil || zeroAt < 0 {
		return n, err
	}
	without, err := normalised(written[:1+code]+written[1+code+1:], code)
	if err != nil || without != n {
		return Number{}, NotInCountry
	}
	return n, nil
}

// normalised brings a plus and digits, of which the first code digits are the calling code, to the canonical form.
func normalised(written string, code int) (Number, error) {
	parsed, e164, err := parse(written)
	if err != nil {
		return Number{}, err
	}
	region := phonenumbers.GetRegionCodeForCountryCode(int(parsed.GetCountryCode()))
	trunk := phonenumbers.GetNddPrefixForRegion(region, true)
	if e164 != written && !isOnlyReading(written, e164, code, trunk) {
		return Number{}, NotInCountry
	}
	if hasSecondDoor(e164) || (mayKeepTrunk(e164, code, trunk) && !phonenumbers.IsValidNumber(parsed)) {
		return Number{}, NotInCountry
	}
	n, err := Restore(e164)
	if err != nil {
		return Number{}, NotInCountry
	}
	return n, nil
}

// isOnlyReading reports whether a rewritten number is its own canonical form, and is also what remains when nothing but
// the trunk prefix is taken away: the library may take the digits after it for a carrier's (Colombia).
func isOnlyReading(written, e164 string, code int, trunk string) bool {
	if _, again, err := parse(e164); err != nil || again != e164 {
		return false
	}
	national := written[1+code:]
	if trunk == "" || !strings.HasPrefix(national, trunk) {
		return true
	}
	_, plain, err := parse(written[:1+code] + national[len(trunk):])
	return err != nil || plain == e164
}

// mayKeepTrunk reports whether a number still begins with a zero or with its country's trunk prefix. That may be a trunk
// prefix which the library did not recognise, so it is believed only in a number that the country's plan knows.
func mayKeepTrunk(e164 string, code int, trunk string) bool {
	national := e164[1+code:]
	return national[0] == '0' || (trunk != "" && strings.HasPrefix(national, trunk))
}

func hasSecondDoor(e164 string) bool {
	return slices.ContainsFunc(secondDoors, func(door string) bool { return strings.HasPrefix(e164, door) })
}

func parse(written string) (*phonenumbers.PhoneNumber, string, error) {
	parsed, err := phonenumbers.Parse(written, unknownRegion)
	switch {
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return nil, "", TooLong
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return nil, "", TooShort
	case err != nil:
		return nil, "", NotInCountry
	}
	switch phonenumbers.IsPossibleNumberWithReason(parsed) {
	case phonenumbers.IS_POSSIBLE:
		return parsed, phonenumbers.Format(parsed, phonenumbers.E164), nil
	case phonenumbers.TOO_LONG:
		return nil, "", TooLong
	case phonenumbers.TOO_SHORT, phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return nil, "", TooShort
	default:
		return nil, "", NotInCountry
	}
}

// twoDigitCodes are the country calling codes of two digits (ITU-T E.164 annex). 1 and 7 have one digit, all others three.
var twoDigitCodes = [100]bool{
	20: true, 27: true, 30: true, 31: true, 32: true, 33: true, 34: true, 36: true, 39: true, 40: true, 41: true, 43: true,
	44: true, 45: true, 46: true, 47: true, 48: true, 49: true, 51: true, 52: true, 53: true, 54: true, 55: true, 56: true,
	57: true, 58: true, 60: true, 61: true, 62: true, 63: true, 64: true, 65: true, 66: true, 81: true, 82: true, 84: true,
	86: true, 90: true, 91: true, 92: true, 93: true, 94: true, 95: true, 98: true,
}

// callingCode takes the first three digits of a number, 100 to 999.
func callingCode(leading uint64) uint64 {
	switch {
	case leading/100 == 1 || leading/100 == 7:
		return leading / 100
	case twoDigitCodes[leading/10]:
		return leading / 10
	default:
		return leading
	}
}

func callingCodeLength(digits []byte) int {
	leading := uint64(digits[0]-'0')*100 + uint64(digits[1]-'0')*10 + uint64(digits[2]-'0')
	switch code := callingCode(leading); {
	case code < 10:
		return 1
	case code < 100:
		return 2
	default:
		return 3
	}
}
