#!/usr/bin/env bash
# Runs every fuzz target in the tree for FUZZTIME (60s); a crasher is kept in the package's testdata/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=$(grep -rnoE --include='*_test.go' --exclude-dir=.tools '^func Fuzz[A-Za-z0-9_]*' . |
  sed -E 's|^(.*)/[^/]*:[0-9]+:func (.*)$|\1 \2|' | sort -u || true)
[ -n "$targets" ] || { echo "no fuzz target found" >&2; exit 1; }
while read -r package target; do
  echo "== $package $target"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" "$package" </dev/null
done <<<"$targets"
