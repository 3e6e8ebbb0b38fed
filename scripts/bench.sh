#!/usr/bin/env bash
# Runs the benchmarks of what every check, list and fact passes through, and shows them beside the committed figures.
# It fails where a benchmark does, and never on a time: machines differ, and so does what else they do.
#   scripts/bench.sh           measure and compare
#   scripts/bench.sh --keep    measure, and keep the figures as the ones to compare with
# BENCH is another choice of benchmarks (. for all), BENCH_TIME and BENCH_COUNT how long and how often each runs.
set -euo pipefail
cd "$(dirname "$0")/.."

figures=bench/figures/baseline.txt
hot='^Benchmark(Canonical.*|Token|OpenRecord|SealRecord|Get|Put|Current|Held|Fold|Decide|Encode|Decode|Check|Sign|AppendNoWait|Decision|'
hot+='ShipDecisions|Authenticate|CheckCounted|CheckAllow|CheckDeny|Screen|Append)$'

packages=$(grep -rlE --include='*_test.go' --exclude-dir=.tools '^func Benchmark' . | xargs -n1 dirname | sort -u)
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
# One package at a time, or they would take the processors from each other.
go test -p 1 -run '^$' -bench "${BENCH:-$hot}" -benchmem -benchtime "${BENCH_TIME:-100ms}" -count "${BENCH_COUNT:-6}" $packages |
  grep -vE '^(PASS|ok |\?|testing: warning)' | tee "$measured"

if [ "${1:-}" = --keep ]; then
  cp "$measured" "$figures"
  echo "kept as $figures"
else
  echo
  echo "beside the committed figures:"
  "$BENCHSTAT" -ignore cpu,goos,goarch committed="$figures" now="$measured"
fi
