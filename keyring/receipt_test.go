package keyring

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReceipts(t *testing.T) {
	ring, other := ringOf(t, 1), ringOf(t, 2)
	seen := map[string]bool{}
	used := map[rune]int{}
	for i := range 5000 {
		key := fmt.Sprint("request ", i)
		receipt := ring.Receipt(key)
		if seen[receipt] || seen[other.Receipt(key)] || receipt != ring.Receipt(key) {
			t.Fatalf("receipt %s of %q is not its own", receipt, key)
		}
		seen[receipt] = true
		if back, err := ParseReceipt(receipt); err != nil || back != receipt {
			t.Fatalf("%s is read as %q, %v", receipt, back, err)
		}
		groups := strings.Split(receipt, "-")
		if len(groups) != 3 || len(groups[0]) != 4 || len(groups[1]) != 4 || len(groups[2]) != 4 {
			t.Fatalf("receipt %s", receipt)
		}
		for _, c := range strings.ReplaceAll(receipt, "-", "") {
			used[c]++
		}
	}
	for _, c := range crockford {
		if used[c] < 1400 || used[c] > 2400 {
			t.Errorf("%c stands %d times in 60000 characters", c, used[c])
		}
	}
	if len(used) != 32 {
		t.Errorf("%d different characters", len(used))
	}
}

func TestReceiptsAreReadAsPeopleTypeThem(t *testing.T) {
	for _, values := range [][receiptLength]byte{{0, 1, 0, 1, 10, 31, 20, 18, 1, 0, 1}, {31, 30, 29, 1, 1, 1, 0, 0, 0, 9, 17}} {
		values[receiptData] = checkCharacter(values[:receiptData])
		receipt := grouped(values)
		plain := strings.ReplaceAll(receipt, "-", "")
		for _, typed := range []string{
			receipt, plain, strings.ToLower(receipt), " " + strings.ReplaceAll(receipt, "-", " ") + " ", strings.Join(strings.Split(plain, ""), "-"),
			strings.ReplaceAll(receipt, "0", "O"), strings.ReplaceAll(receipt, "0", "o"), strings.ReplaceAll(receipt, "1", "I"),
			strings.ReplaceAll(receipt, "1", "l"), strings.ReplaceAll(strings.ReplaceAll(receipt, "1", "L"), "0", "o"), strings.ReplaceAll(receipt, "1", "i"),
		} {
			if got, err := ParseReceipt(typed); err != nil || got != receipt {
				t.Errorf("%q is read as %q, %v, want %s", typed, got, err, receipt)
			}
		}
		for _, bad := range []string{
			"", "-", plain[:11], plain + "0", plain + plain, strings.Repeat("-", 65) + plain, plain[:5] + "U" + plain[6:], plain[:5] + "*" + plain[6:],
			plain[:5] + "\x00" + plain[6:], plain[:5] + "é" + plain[6:], plain[:11] + "０", plain[1:] + "é",
		} {
			if got, err := ParseReceipt(bad); !errors.Is(err, ErrReceipt) || got != "" {
				t.Errorf("%q is read as %q, %v", bad, got, err)
			}
		}
	}
}

// valid reports whether twelve characters are a receipt, by the reader itself.
func valid(values [receiptLength]byte) bool {
	_, err := ParseReceipt(grouped(values))
	return err == nil
}

func withCheck(data [receiptLength]byte) [receiptLength]byte {
	data[receiptData] = checkCharacter(data[:receiptData])
	return data
}

// The check is linear over GF(2): whether an error is found depends on the error alone, not on the receipt. So one
// receipt and all errors of a kind are all receipts and all errors of that kind; linearity itself is tested below.
func TestEverySingleWrongCharacterIsFound(t *testing.T) {
	for _, receipt := range [][receiptLength]byte{{}, withCheck([receiptLength]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5})} {
		if !valid(receipt) {
			t.Fatal("no receipt to begin with")
		}
		for at := range receiptLength {
			for wrong := range byte(32) {
				damaged := receipt
				damaged[at] = wrong
				if valid(damaged) != (wrong == receipt[at]) {
					t.Errorf("%s for %s", grouped(damaged), grouped(receipt))
				}
			}
		}
	}
}

// For every two places and every pair of characters in them, over two fillings of the rest.
func TestEverySwapIsFound(t *testing.T) {
	for _, filling := range []byte{0, 19} {
		for a := range receiptLength {
			for b := a + 1; b < receiptLength; b++ {
				checkSwaps(t, filling, a, b)
			}
		}
	}
}

func checkSwaps(t *testing.T, filling byte, a, b int) {
	t.Helper()
	// A place that is neither of the two makes the check come out when one of the two is the check character itself.
	free := 0
	for free == a || free == b {
		free++
	}
	for x := range byte(32) {
		for y := range byte(32) {
			var receipt [receiptLength]byte
			for i := range receipt {
				receipt[i] = filling
			}
			receipt[a], receipt[b] = x, y
			if !complete(&receipt, free) {
				t.Fatalf("no character at %d completes %s", free, grouped(receipt))
			}
			swapped := receipt
			swapped[a], swapped[b] = y, x
			if valid(swapped) != (x == y) {
				t.Errorf("%s for %s", grouped(swapped), grouped(receipt))
			}
		}
	}
}

// complete finds the character at place free with which the check comes out.
func complete(receipt *[receiptLength]byte, free int) bool {
	for value := range byte(32) {
		receipt[free] = value
		if checkCharacter(receipt[:receiptData]) == receipt[receiptData] {
			return true
		}
	}
	return false
}

func TestTheCheckIsLinear(t *testing.T) {
	for i := range 2000 {
		var a, b, sum [receiptData]byte
		for j := range a {
			a[j], b[j] = byte(i*7+j*13+i*j)&31, byte(i*11+j*5+i*i*j)&31
			sum[j] = a[j] ^ b[j]
		}
		if checkCharacter(sum[:]) != checkCharacter(a[:])^checkCharacter(b[:]) {
			t.Fatalf("%v and %v", a, b)
		}
	}
}
