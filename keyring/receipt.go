package keyring

import (
	"encoding/binary"
	"errors"
	"strings"
)

// crockford is the base32 alphabet without I, L, O and U, which are misheard and misread.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// A receipt has eleven characters of the HMAC, 55 bits, and one check character. With ten million receipts the chance
// that any two are equal is about one in 700; with 45 bits it would be more likely than not.
const (
	receiptData   = 11
	receiptLength = receiptData + 1
	receiptGroup  = 4

	// maxReceiptInput bounds what ParseReceipt reads, in bytes.
	maxReceiptInput = 64
)

// ErrReceipt says that a text is no receipt, or was heard or typed wrong.
var ErrReceipt = errors.New("not a receipt: check the twelve characters")

// Receipt makes the code that a caller hears or reads for the record that key names: twelve characters in groups of
// four, such as "4K7Q-9T2M-8XRC". The same key gives the same receipt.
func (r *Ring) Receipt(key string) string {
	m := r.receipts.take()
	m.text = append(m.text[:0], key...)
	bits := binary.BigEndian.Uint64(m.sum())
	r.receipts.give(m)
	var values [receiptLength]byte
	for i := range receiptData {
		values[i] = byte(bits>>(64-5*(i+1))) & 31
	}
	values[receiptData] = checkCharacter(values[:receiptData])
	return grouped(values)
}

// ParseReceipt reads a receipt as people type it (any case, spaces and hyphens anywhere, O for 0, I or L for 1) and
// returns it as Receipt wrote it. The check character finds every single wrong character and every swap of two, adjacent
// or not; then the error is ErrReceipt.
func ParseReceipt(s string) (string, error) {
	if len(s) > maxReceiptInput {
		return "", ErrReceipt
	}
	var values [receiptLength]byte
	count := 0
	for i := range len(s) {
		if s[i] == ' ' || s[i] == '-' {
			continue
		}
		value := crockfordValue(s[i])
		if value < 0 || count == receiptLength {
			return "", ErrReceipt
		}
		values[count] = byte(value)
		count++
	}
	if count != receiptLength || checkCharacter(values[:receiptData]) != values[receiptData] {
		return "", ErrReceipt
	}
	return grouped(values), nil
}

// crockfordValue is -1 for what is no character of a receipt.
func crockfordValue(c byte) int {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	return strings.IndexByte(crockford, c)
}

func grouped(values [receiptLength]byte) string {
	var out strings.Builder
	for i, value := range values {
		if i > 0 && i%receiptGroup == 0 {
			out.WriteByte('-')
		}
		out.WriteByte(crockford[value])
	}
	return out.String()
}

// checkCharacter is a Reed-Solomon check of one symbol over GF(32): the sum of the characters, each weighted by another
// power of the field's generator x; the check character itself has weight 1. A wrong character changes the sum by a
// product of two values that are not zero; a swap of two characters changes it by (difference of the characters) times
// (difference of their weights), neither of them zero.
func checkCharacter(data []byte) byte {
	var sum byte
	for _, value := range data {
		sum ^= value
		if !mutantReceiptUnweighted {
			sum = timesX(sum)
		}
	}
	return sum
}

// timesX multiplies by x in GF(32) with the primitive polynomial x^5 + x^2 + 1.
func timesX(value byte) byte {
	value <<= 1
	if value&32 != 0 {
		value ^= 0b100101
	}
	return value
}
