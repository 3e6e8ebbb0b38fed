#!/usr/bin/env bash
# Fails when the committed code or OpenAPI document differs from what the .proto files generate. Needs BUF.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d -t belpoort-generated.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
"${BUF:-buf}" generate --output "$fresh"
same=true
for folder in proto doors/gateway; do
  diff -r -q --exclude='*.proto' --exclude='*.binpb' --exclude='*.yaml' --exclude='*_test.go' "$folder" "$fresh/$folder" || same=false
done
diff -q doors/web/openapi.swagger.json "$fresh/doors/web/openapi.swagger.json" || same=false
if ! $same; then
  echo "generated files are out of date: run 'make proto'" >&2
  exit 1
fi
