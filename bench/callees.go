package bench

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// MaxCallees bounds a population.
const MaxCallees = 5_000_000

// Population is generated callees: some may be called, the others not. The same seed gives the same ones.
//
// Their numbers are Dutch geographic numbers whose subscriber part begins with 1 (may be called) or 9 (may not), which
// the numbering plan keeps from being assigned (BWBR0010198, article 4). A number's first digit thus says what was ever
// recorded about it, whatever the seed, so that runs against one service do not get into each other's way.
type Population struct {
	allowed, denied uint64
	share           float64
	seed            uint64
}

// NewPopulation generates callees, the given share of which (above 0, below 1) may be called.
func NewPopulation(callees int, share float64, seed uint64) (Population, error) {
	if callees < 2 || callees > MaxCallees {
		return Population{}, fmt.Errorf("callees %d: want 2 to %d", callees, MaxCallees)
	}
	if math.IsNaN(share) || share <= 0 || share >= 1 {
		return Population{}, errors.New("mix: want the share of callees who may be called, above 0 and below 1")
	}
	allowed := min(max(uint64(math.Round(float64(callees)*share)), 1), uint64(callees)-1)
	return Population{allowed, uint64(callees) - allowed, share, seed}, nil
}

// Allowed is how many callees may be called, Denied how many may not.
func (p Population) Allowed() int { return int(p.allowed) }

// Denied is how many callees may not be called.
func (p Population) Denied() int { return int(p.denied) }

// areas are the area codes of two digits, whose subscriber parts have seven.
const areas = "10" + "13" + "15" + "20" + "23" + "24" + "26" + "30" + "33" + "35" + "36" + "38" + "40" + "43" + "45" +
	"46" + "50" + "53" + "55" + "58" + "70" + "71" + "72" + "73" + "74" + "75" + "76" + "77" + "78" + "79"

const (
	perArea = 1_000_000
	room    = uint64(len(areas) / 2 * perArea)
	// stride has no factor in common with room, so that its multiples visit every number once.
	stride = 7_368_787
)

// First digits of subscriber parts.
const (
	firstAllowed  = '1'
	firstDenied   = '9'
	firstCallerID = '0'
)

// number is the n-th of the numbers whose subscriber part begins with first.
func (p Population) number(first byte, n uint64) string {
	at := (scramble(p.seed)%room + n%room*stride) % room
	digits := [12]byte{'+', '3', '1', areas[at/perArea*2], areas[at/perArea*2+1], first}
	rest := at % perArea
	for i := len(digits) - 1; i > 5; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	return string(digits[:])
}

// AllowedNumber is the number, E.164, of the n-th callee who may be called; they repeat.
func (p Population) AllowedNumber(n uint64) string { return p.number(firstAllowed, n%p.allowed) }

// DeniedNumber is the number, E.164, of the n-th callee who may not be called; they repeat.
func (p Population) DeniedNumber(n uint64) string { return p.number(firstDenied, n%p.denied) }

// drawn says whether call n of a mixed load is one to a callee who may be called.
func (p Population) drawn(n uint64) bool {
	return float64(scramble(p.seed+n)>>11)/(1<<53) < p.share
}

// scramble is the finaliser of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// facts calls yield with everything that is recorded about the population, as of today: for who may be called a verified
// consent; for the others, a third each, an objection after one, a consent that nobody verified, and nothing at all.
func (p Population) facts(today time.Time, yield func(*belpoortv1.RecordFactRequest) error) error {
	given := today.UTC().Truncate(24*time.Hour).AddDate(0, -1, 0)
	for n := range p.allowed {
		if err := yield(consent(p.AllowedNumber(n), given, true)); err != nil {
			return err
		}
	}
	for n := range p.denied {
		for _, fact := range p.against(n, given) {
			if err := yield(fact); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p Population) against(n uint64, given time.Time) []*belpoortv1.RecordFactRequest {
	number := p.DeniedNumber(n)
	switch scramble(p.seed^n) % 3 {
	case 0:
		return []*belpoortv1.RecordFactRequest{consent(number, given, true), objection(number, given.AddDate(0, 0, 14))}
	case 1:
		return []*belpoortv1.RecordFactRequest{consent(number, given, false)}
	default:
		return nil
	}
}

// consent is the same for the same number, whatever the seed. Its texts are as long as real ones and hold no number.
func consent(number string, given time.Time, verified bool) *belpoortv1.RecordFactRequest {
	mark := fnv.New64a()
	_, _ = mark.Write([]byte(number))
	id := fmt.Sprintf("%016x", scramble(mark.Sum64()))
	c := &belpoortv1.Consent{
		ConsentId: "bench-" + id, Organisations: []string{Name},
		Channels: []belpoortv1.Channel{belpoortv1.Channel_CHANNEL_PHONE}, Products: []string{product},
		Purposes: []belpoortv1.Purpose{belpoortv1.Purpose_PURPOSE_COMMERCIAL}, Person: "B. Bench " + id[:8],
		GiveTime: timestamppb.New(given), Method: belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
		Source: "https://bench.invalid/bel-mij", Wording: "bench-1",
		Evidence: &belpoortv1.Evidence{
			Uri:    "s3://bench/consents/" + id,
			Sha256: "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
		},
	}
	if verified {
		c.Verified = &belpoortv1.Verification{
			Method: belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS, VerifyTime: timestamppb.New(given.Add(time.Minute)),
		}
	}
	return &belpoortv1.RecordFactRequest{Callee: number, Fact: &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: c}}}
}

func objection(number string, at time.Time) *belpoortv1.RecordFactRequest {
	return &belpoortv1.RecordFactRequest{Callee: number, Fact: &belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{
		Objection: &belpoortv1.Objection{Organisation: Name, ObjectTime: timestamppb.New(at), Via: belpoortv1.Via_VIA_IVR},
	}}}
}
