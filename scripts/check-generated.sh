#!/usr/bin/env bash
# Fails when the committed Go differs from what the .proto files generate. Needs BUF.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d -t belpoort-generated.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
"${BUF:-buf}" generate --output "$fresh"
if ! diff -r -q --exclude='*.proto' --exclude='*.binpb' --exclude='*_test.go' proto "$fresh/proto"; then
  echo "the generated Go is out of date: run 'make proto'" >&2
  exit 1
fi
