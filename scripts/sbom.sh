#!/usr/bin/env bash
# Writes what a binary is made of, as CycloneDX JSON: scripts/sbom.sh BINARY OUTPUT. The modules are those that the binary itself
# names, and each must be in the result, with its version; so must the licence of each, as far as its files tell one.
set -euo pipefail
binary=${1:?usage: scripts/sbom.sh BINARY OUTPUT} output=${2:?usage: scripts/sbom.sh BINARY OUTPUT}
cd "$(dirname "$0")/.."
"${CYCLONEDX:?}" bin -json -licenses -std -noserial -version "$(scripts/version.sh)" -output "$output" "$binary" 2>"$output.said" ||
  { cat "$output.said" >&2; exit 1; }
unlicensed=$(sed 's/\x1b\[[0-9;]*m//g' "$output.said" | sed -n 's/.*licenses\{0,1\} .*module=\([^ ]*\).*/\1/p' | sort -u | paste -sd' ')
rm "$output.said"

# Replaced modules have their own line; -std adds the standard library.
named() { go version -m "$binary" | awk '$1 == "dep" {print $2 "@" $3}' | sort; }
listed() { grep -oE '"purl": "pkg:golang/[^"?]+' "$output" | sed 's/.*pkg:golang\///' | sort -u; }
missing=$(comm -23 <(named) <(listed))
[ -z "$missing" ] || { printf 'sbom: %s lacks\n%s\n' "$output" "$missing" >&2; exit 1; }
modules=$(named | wc -l)
[ "$modules" -gt 20 ] || { echo "sbom: the binary names $modules modules only" >&2; exit 1; }
echo "sbom: $modules modules in $output${unlicensed:+; no licence was recognised of $unlicensed}"
