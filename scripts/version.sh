#!/usr/bin/env bash
# Prints the version to stamp: VERSION if set, else what git calls this commit, else "devel".
set -euo pipefail
cd "$(dirname "$0")/.."
echo "${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}"
