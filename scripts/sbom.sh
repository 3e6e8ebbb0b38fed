#!/usr/bin/env bash
# Writes what a binary is made of, as CycloneDX JSON: scripts/sbom.sh BINARY OUTPUT. The modules are those that the binary itself
# names, and each must be in the result, with its version; so must the licence of each, as far as its files tell one.
set -euo pipefail
binary=${1:?usage: scripts/sbom.sh BINARY OUTPUT} output=${2:?usage: scripts/sbom.sh BINARY OUTPUT}
cd "$(dirname "$0")/.."
"${CYCLONEDX:?}" bin -json -licenses -std -noserial -version "$(scripts/version.sh)" -output "$output" "$binary" 2>/dev/null

# Replaced modules have their own line; -std adds the standard library.
named() { go version -m "$binary" | awk '$1 == "dep" {print $2 "@" $3}' | sort; }
listed() { grep -oE '"purl": "pkg:golang/[^"?]+' "$output" | sed 's/.*pkg:golang\///' | sort -u; }
missing=$(comm -23 <(named) <(listed))
[ -z "$missing" ] || { printf 'sbom: %s lacks\n%s\n' "$output" "$missing" >&2; exit 1; }
modules=$(named | wc -l)
[ "$modules" -gt 20 ] || { echo "sbom: the binary names $modules modules only" >&2; exit 1; }
licensed=$(grep -c '"licenses": \[' "$output" || true)
echo "sbom: $modules modules in $output, $licensed with a licence"
