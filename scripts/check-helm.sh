#!/usr/bin/env bash
# Holds the Helm chart to what it should be: helm's own lint, for each set of values in deploy/helm/belpoort/ci; what is rendered
# of them, which stands in deploy/helm/rendered; its fields, read as the API server would; and that wrong values are refused with
# a sentence. HELM=path names helm; UPDATE=1 writes what is rendered anew.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=${HELM:?}
chart=deploy/helm/belpoort
scratch=$(mktemp -d -t belpoort-helm.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
# helm keeps caches and plugins there.
export HELM_CACHE_HOME=$scratch/cache HELM_CONFIG_HOME=$scratch/config HELM_DATA_HOME=$scratch/data HELM_NO_PLUGINS=1

fail() { echo "check-helm: $*" >&2; exit 1; }
render() { "$helm" template belpoort "$chart" --namespace telephony --kube-version 1.30.0 "$@" 2>&1; }

# helm tells of each of the chart's links to the alerts and the board on every run.
quietly() { "$helm" "$@" 2> >(grep -v 'found symbolic link' >&2); }
for values in "$chart"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  quietly lint --strict --quiet "$chart" --values "$values" --kube-version 1.30.0 || fail "lint of $name"
  quietly template belpoort "$chart" --namespace telephony --kube-version 1.30.0 --values "$values" >"$scratch/$name.yaml" || fail "$name"
  # The alerts and the board change for their own reasons: what is rendered of them is only read.
  [ "$name" != monitoring ] || continue
  if [ -n "${UPDATE:-}" ]; then cp "$scratch/$name.yaml" "deploy/helm/rendered/$name.yaml"; fi
  diff -u "deploy/helm/rendered/$name.yaml" "$scratch/$name.yaml" || fail "$name is rendered otherwise; make check-helm UPDATE=1"
done
go -C deploy/helm/manifests run . "$scratch"/*.yaml

# Nothing wrong is rendered, and the sentence names what.
refused() { # what it says, and the values
  local says=$1 output
  shift
  if output=$(render "$@"); then fail "rendered with $*"; fi
  grep -qF -- "$says" <<<"$output" || fail "with $* it says: $output"
}
refused "choose how clients reach the nodes"
refused "exclude each other" --set plaintext=true,tls.existingSecret=t
refused "tls.clientCA needs" --set plaintext=true,tls.clientCA=true
refused "need ledger.existingSecret" --set plaintext=true,replicas=2
refused "need keys.existingSecret" --set plaintext=true,replicas=2,ledger.existingSecret=l
refused "redis.existingSecret needs" --set plaintext=true,redis.existingSecret=r
refused "needs plaintext" --set tls.existingSecret=t,agi.enabled=true
refused "needs agi.from" --set plaintext=true,agi.enabled=true
refused "needs 20 seconds after" --set plaintext=true,stop.settleSeconds=20,stop.graceSeconds=39
refused "more than 60 %" --set plaintext=true,config.cache-mib=1000
refused "drill.enabled needs" --set plaintext=true,drill.enabled=true
refused "allow-windw" --set plaintext=true,config.allow-windw=2s
refused "allow-window" --set plaintext=true,config.allow-window=often
refused "grpc" --set plaintext=true,config.grpc=0.0.0.0:1
refused "replica" --set plaintext=true,replica=2
refused "replicas" --set plaintext=true,replicas=0
refused "memory" --set plaintext=true,resources.limits.memory=1G
refused "antiAffinity" --set plaintext=true,antiAffinity=always
refused "digest" --set plaintext=true,image.digest=sha256:12
refused "extraEnv" --set 'plaintext=true,extraEnv[0].name=BELPOORT_GRPC'
refused "number" --set plaintext=true,drill.number=06-12345678
refused "kubeVersion" --set plaintext=true --kube-version 1.29.0
grep -q 'alert: BelpoortObjectionDrillJobFailed' "$scratch/monitoring.yaml" && grep -q 'alert: BelpoortDown' "$scratch/monitoring.yaml" ||
  fail "the alerts are not rendered"
if grep -q 'alert: BelpoortObjectionDrillStale' "$scratch/monitoring.yaml"; then fail "an alert that is left out is rendered"; fi
echo "check-helm: the chart is sound"
