#!/usr/bin/env bash
# Three nodes on this machine that share a private PostgreSQL and a private Redis: loads the sample data, shows that an
# objection registered at one node is refused at the others, and stops. With KEEP=1 it goes on serving until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

belpoort=$PWD/bin/belpoort
folder=$(mktemp -d "${TMPDIR:-/tmp}/belpoort-cluster-XXXXXX")
nodes=()
redis=
postgres=/usr/lib/postgresql/15/bin

# PostgreSQL refuses to run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then
  as_postgres=(runuser -u postgres --)
  chmod 0711 "$folder"
fi

finish() {
  trap - EXIT INT TERM
  for node in "${nodes[@]}"; do kill -TERM "$node" 2>/dev/null || true; done
  for node in "${nodes[@]}"; do wait "$node" || echo "a node ended with an error" >&2; done
  if [ -n "$redis" ]; then kill -TERM "$redis" 2>/dev/null && wait "$redis" || true; fi
  if [ -e "$folder/postgres/data/postmaster.pid" ]; then
    "${as_postgres[@]}" "$postgres/pg_ctl" -D "$folder/postgres/data" -m fast -w stop >/dev/null || true
  fi
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

start_postgres() {
  install -d -m 0700 "$folder/postgres"
  if [ "$(id -u)" = 0 ]; then chown postgres: "$folder/postgres"; fi
  (
    cd "$folder/postgres"
    "${as_postgres[@]}" "$postgres/initdb" -D data -U belpoort -A trust -E UTF8 --locale=C >/dev/null
    "${as_postgres[@]}" "$postgres/pg_ctl" -D data -w -l log -o "-h 127.0.0.1 -p $1 -k ''" start >/dev/null
    "${as_postgres[@]}" "$postgres/createdb" -h 127.0.0.1 -p "$1" -U belpoort belpoort
  )
}

ready() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q ' 200 ' <&3) 2>/dev/null
}

start_node() { # number
  "$belpoort" serve --data "$folder/node$1" --node-name "node$1" --grpc "127.0.0.1:${grpc[$1]}" --http "" --ops "127.0.0.1:${ops[$1]}" \
    --ledger "$ledger" --redis "$cache" --log-level warn &
  nodes+=($!)
  until ready "${ops[$1]}"; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 0.05
  done
}

ask() { # node, command
  local node=$1
  shift
  "$belpoort" "$@" --data "$folder/node$node" --address "127.0.0.1:${grpc[$node]}"
}

verdict() { # node, number
  local code=0
  ask "$1" check "$2" --campaign voltwerk-demo --caller-id 050-1234567 >"$folder/answer" || code=$?
  echo "node $1: $(head -n 1 "$folder/answer")"
  [ "$code" = "$3" ] || { echo "expected exit $3, got $code" >&2; cat "$folder/answer" >&2; exit 1; }
}

port=$(free_port)
ledger=postgres://belpoort@127.0.0.1:$port/belpoort
echo "== PostgreSQL and Redis on loopback"
start_postgres "$port"
port=$(free_port)
cache=redis://127.0.0.1:$port/0
redis-server --bind 127.0.0.1 --port "$port" --save '' --dir "$folder" --daemonize no >"$folder/redis.log" &
redis=$!

echo "== Three nodes"
declare -A grpc ops
for n in 1 2 3; do grpc[$n]=$(free_port) ops[$n]=$(free_port); done
start_node 1
for n in 2 3; do
  install -d -m 0700 "$folder/node$n"
  cp -a "$folder/node1/keys" "$folder/node$n/"
  start_node "$n"
done

"$belpoort" sample "$folder/samples" >/dev/null
ask 1 apply "$folder/samples/catalogue.yaml"
ask 1 import consents "$folder/samples/consents-voltwerk.csv" | sed "s|$folder/samples/||" || [ "${PIPESTATUS[0]}" -eq 1 ]

echo
echo "== A number that consented: each node allows the call, one call at a time"
for n in 1 2 3; do
  verdict "$n" 010-1234501 0
  sleep 2.1
done

echo
echo "== The person objects at node 1"
ask 1 object 010-1234501 --campaign voltwerk-demo --via IVR
echo
echo "== and every node refuses at once"
for n in 2 3 1; do verdict "$n" 010-1234501 3; done

if [ "${KEEP:-}" = 1 ]; then
  trap 'exit 0' INT TERM
  echo
  echo "== Serving until Ctrl-C; ask any node, for example"
  for n in 1 2 3; do
    echo "  bin/belpoort check 010-1234503 --campaign voltwerk-demo --caller-id 050-1234567 --data $folder/node$n --address 127.0.0.1:${grpc[$n]}"
  done
  wait "${nodes[@]}"
fi
echo
echo "== Stopping"
