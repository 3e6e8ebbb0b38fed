#!/usr/bin/env bash
# Builds the one static binary: scripts/build.sh OUTPUT
set -euo pipefail
output=${1:?usage: scripts/build.sh OUTPUT}
case $output in /*) ;; *) output=$PWD/$output ;; esac
cd "$(dirname "$0")/.."
CGO_ENABLED=0 go build -buildvcs=false -trimpath \
  -ldflags "-s -w -X main.version=$(scripts/version.sh)" -o "$output" ./cmd/belpoort
