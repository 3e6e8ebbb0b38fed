#!/usr/bin/env bash
# Runs the tests under the race detector: scripts/test.sh [PACKAGES]
# All temporary data goes into one folder, removed at the end however the tests ended.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-setup.sh
scratch=$(mktemp -d -t belpoort-test.XXXXXX)
# Tests that this machine does not permit are skipped, and named here at the end.
export BELPOORT_TEST_NOT_RUN=$scratch/not-run
finish() {
  if [ -s "$BELPOORT_TEST_NOT_RUN" ]; then sort -u "$BELPOORT_TEST_NOT_RUN" >&2; fi
  chmod -R u+rwX "$scratch"
  rm -rf "$scratch"
}
trap finish EXIT
TMPDIR=$scratch CGO_ENABLED=1 go test -race -count=1 -timeout "${TEST_TIMEOUT:-30m}" "${@:-./...}"
# The race detector slows these many times over, and they are about what many processes do together, or about many cases;
# this is their full size.
if [ $# = 0 ]; then
  TMPDIR=$scratch CGO_ENABLED=0 go test -count=1 -timeout "${TEST_TIMEOUT:-30m}" -run 'TestReference' ./eligibility
  TMPDIR=$scratch CGO_ENABLED=0 go test -count=1 -timeout "${TEST_TIMEOUT:-30m}" ./fence
  TMPDIR=$scratch CGO_ENABLED=0 go test -count=1 -timeout "${TEST_TIMEOUT:-30m}" -p 1 -run '^TestT[0-9]|^TestDegraded|OfAGibibyte' \
    ./cmd/belpoort ./cache ./eligibility ./journal ./ledger ./loader
fi
