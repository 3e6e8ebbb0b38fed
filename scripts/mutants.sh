#!/usr/bin/env bash
# Proves that the tests can fail. mutants.txt names for each mutant_* build tag the package and the test that must
# pass without the tag and fail with it.
#   scripts/mutants.sh [TAG]     run all mutants, or one
#   scripts/mutants.sh --table   only compare the table with the tags in the tree
#   scripts/mutants.sh --tags    print the tags in the tree, joined by commas
set -euo pipefail
cd "$(dirname "$0")/.."

tree_tags() {
  { grep -rhoE --include='*.go' --exclude-dir=.tools --exclude-dir=testdata '^//go:build mutant_[a-z0-9_]+' . || true; } |
    sed 's/.* //' | sort -u
}
table() { grep -vE '^[[:space:]]*(#|$)' mutants.txt || true; }

check_table() {
  local differences malformed
  malformed=$(table | awk 'NF != 3 {print "mutants.txt: want \"tag package test\", got: " $0}')
  differences=$(diff <(table | awk '{print $1}' | sort -u) <(tree_tags) | sed -n \
    -e 's/^< /mutants.txt names a mutant that is not in the tree: /p' \
    -e 's/^> /mutants.txt lacks a mutant of the tree: /p' || true)
  [ -z "$malformed$differences" ] || { printf '%s\n' ${malformed:+"$malformed"} ${differences:+"$differences"}; return 1; }
}

# runs binary package test: prints the output of the chosen tests, run where `go test` runs them.
runs() { (cd "$2" && "$1" -test.v -test.timeout 10m -test.run "$3" 2>&1); }

catches() { # tag package test
  local base="$scratch/$(tr / _ <<<"$2").test" mutant="$scratch/mutant.test" output
  [ -x "$base" ] || go test -c -o "$base" "$2" || return 1
  output=$(runs "$base" "$2" "$3") || { echo "$output"; echo "$1: $3 in $2 fails without the mutant"; return 1; }
  grep -q '^--- PASS' <<<"$output" || { echo "$1: no test in $2 matches $3"; return 1; }
  go test -c -tags "$1" -o "$mutant" "$2" || { echo "$1: does not compile"; return 1; }
  if output=$(runs "$mutant" "$2" "$3"); then echo "$1: NOT CAUGHT by $3 in $2"; return 1; fi
  grep -qE '^(--- FAIL|panic:|fatal error:)' <<<"$output" || { echo "$output"; echo "$1: ended without a failed test"; return 1; }
  echo "$1: caught by $3 in $2"
}

main() {
  check_table
  scratch=$(mktemp -d -t belpoort-mutants.XXXXXX)
  trap 'rm -rf "$scratch"' EXIT
  local tag package test missed=0 ran=0
  while read -r tag package test; do
    [ -z "${1:-}" ] || [ "$1" = "$tag" ] || continue
    ran=$((ran + 1))
    TMPDIR=$scratch catches "$tag" "$package" "$test" </dev/null || missed=$((missed + 1))
  done < <(table)
  echo "$ran mutants, $missed not proven caught"
  [ "$missed" = 0 ] && [ "$ran" -gt 0 ]
}

case ${1:-} in
--tags) tree_tags | paste -sd, ;;
--table) check_table ;;
*) main "$@" ;;
esac
