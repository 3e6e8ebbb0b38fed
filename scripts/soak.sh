#!/usr/bin/env bash
# Runs the packages whose tests read SOAK, with SOAK (10m) as the length of each long test.
set -euo pipefail
cd "$(dirname "$0")/.."
export SOAK=${SOAK:-10m}
packages=$(grep -rlE --include='*_test.go' --exclude-dir=.tools 'env\("SOAK"\)' -i . | xargs -r -n 1 dirname | sort -u || true)
[ -n "$packages" ] || { echo "no test reads SOAK" >&2; exit 1; }
go test -count=1 -timeout 0 -v $packages
