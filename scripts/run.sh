#!/usr/bin/env bash
# Serves the sample data from a fresh folder, shows one ALLOW and one DENY, and keeps serving until it is interrupted.
set -euo pipefail

belpoort=bin/belpoort
grpc=${BELPOORT_GRPC:-127.0.0.1:2357}
http=${BELPOORT_HTTP:-127.0.0.1:2358}
ops=${BELPOORT_OPS:-127.0.0.1:2359}
folder=$(mktemp -d "${TMPDIR:-/tmp}/belpoort-run-XXXXXX")
data=$folder/data
service=

finish() {
  trap - EXIT INT TERM
  if [ -n "$service" ]; then
    kill -TERM "$service" 2>/dev/null || true
    wait "$service" || true
  fi
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 0' INT TERM

ask() { "$belpoort" "$@" --data "$data" --address "$grpc"; }

# `check` and `import` say with their exit code what they found; here both kinds of answer are wanted.
shown() {
  echo "\$ $belpoort $*"
  local code=0
  ask "$@" || code=$?
  if [ "$code" -ge 5 ] || [ "$code" -eq 2 ]; then exit "$code"; fi
}

ready() { # a fresh machine has no curl
  (exec 3<>"/dev/tcp/${ops%:*}/${ops##*:}" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q ' 200 ' <&3) 2>/dev/null
}

"$belpoort" serve --data "$data" --grpc "$grpc" --http "$http" --ops "$ops" --log-level warn &
service=$!
until ready; do
  kill -0 "$service" 2>/dev/null || { wait "$service"; exit 1; }
  sleep 0.1
done

samples=$folder/samples
"$belpoort" sample "$samples" >/dev/null
echo "== Sample data (a few rows are broken on purpose)"
ask apply "$samples/catalogue.yaml"
for file in consents/consents-voltwerk relationships/relationships-voltwerk relationships/relationships-vleugels \
  relationships/relationships-courant objections/objections call-requests/call-requests; do
  ask import "${file%%/*}" "$samples/${file##*/}.csv" | sed "s|$samples/||" || [ "${PIPESTATUS[0]}" -eq 1 ]
done

echo
echo "== A call that is allowed"
shown check 010-1234501 --campaign voltwerk-demo --caller-id 050-1234567
echo
echo "== A call that is refused"
shown check 010-1234502 --campaign voltwerk-demo --caller-id 050-1234567

cat <<TEXT

== Serving on $grpc (gRPC) and http://$ops (health, metrics) until Ctrl-C. In another terminal, from here:

  $belpoort check 010-1234501 --campaign voltwerk-demo --caller-id 050-1234567 --data $data --address $grpc
  $belpoort explain 010-1234502 --campaign voltwerk-demo --caller-id 050-1234567 --data $data --address $grpc
  $belpoort object 010-1234501 --organisation voltwerk --data $data --address $grpc

  grpcurl -plaintext -H "authorization: Bearer \$(cat $data/keys/operator.key)" \\
    -d '{"callee": "010-1234501", "campaign": "voltwerk-demo", "caller_id": "050-1234567"}' \\
    $grpc belpoort.v1.GatekeeperService/CheckCall

  curl http://$ops/metrics

TEXT
wait "$service"
