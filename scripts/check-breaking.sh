#!/usr/bin/env bash
# Compares the API with proto/baseline.binpb, the API of the last release. Needs BUF.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -f proto/baseline.binpb ]; then
  exec "${BUF:-buf}" breaking --against proto/baseline.binpb
fi
released=$(git tag --list 'v[0-9]*' 2>/dev/null | head -n 1 || true)
if [ -n "$released" ]; then
  echo "$released was released without proto/baseline.binpb: run 'make proto-baseline' on that release" >&2
  exit 1
fi
echo "buf breaking: nothing released yet, so there is nothing to compare with (see make proto-baseline)"
