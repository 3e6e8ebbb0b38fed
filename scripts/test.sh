#!/usr/bin/env bash
# Runs the tests under the race detector: scripts/test.sh [PACKAGES]
# All temporary data goes into one folder, removed at the end however the tests ended.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/test-setup.sh
scratch=$(mktemp -d -t belpoort-test.XXXXXX)
trap 'chmod -R u+rwX "$scratch"; rm -rf "$scratch"' EXIT
TMPDIR=$scratch CGO_ENABLED=1 go test -race -count=1 -timeout "${TEST_TIMEOUT:-10m}" "${@:-./...}"
# The race detector slows the comparison with the reference evaluator twelvefold; this is its full size.
if [ $# = 0 ]; then
  TMPDIR=$scratch CGO_ENABLED=0 go test -count=1 -run 'TestReference' ./eligibility
fi
