#!/usr/bin/env bash
# Installs from Debian's packages what the tests need and this machine lacks; does nothing when all is there.
# A line of `needs` is a command or an absolute path that must exist, and the packages that bring it. A server is
# one more line, such as "redis-server redis-server" or "/usr/lib/postgresql/15/bin/postgres postgresql": it is
# installed but never started here, because each test starts its own on its own port.
set -euo pipefail

needs=(
  "make make"
  "curl curl"
  "gcc gcc"
  "/usr/include/stdlib.h libc6-dev"
  "/usr/lib/postgresql/15/bin/postgres postgresql-15"
  "redis-server redis-server"
  "systemd-analyze systemd"
  "mkfs.ext4 e2fsprogs"
  "mount mount"
  "nft nftables"
  "ip iproute2"
  "node nodejs"
  "npm npm"
  "kamailio kamailio"
  "/usr/lib/x86_64-linux-gnu/kamailio/modules/http_client.so kamailio-utils-modules"
  "sipp sip-tester"
  "chromium chromium"
  "promtool prometheus"
)

packages=()
for need in "${needs[@]}"; do
  read -r wanted brings <<<"$need"
  case $wanted in
  /*) [ -e "$wanted" ] && continue ;;
  *) command -v "$wanted" >/dev/null && continue ;;
  esac
  read -ra words <<<"$brings"
  packages+=("${words[@]}")
done
[ ${#packages[@]} -gt 0 ] || exit 0

fail() {
  echo "test-setup: $1; install by hand: ${packages[*]}" >&2
  exit 1
}
command -v apt-get >/dev/null || fail "no apt-get on this machine"
root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "neither root nor sudo"
  root=(sudo)
fi

# Debian starts a server as soon as it is installed unless policy-rc.d answers 101 (not allowed).
policy=/usr/sbin/policy-rc.d
restore() {
  "${root[@]}" rm -f "$policy"
  if [ -e "$policy.before-test-setup" ]; then "${root[@]}" mv "$policy.before-test-setup" "$policy"; fi
}
if [ ! -x "$policy" ] || "$policy" any-server start >/dev/null 2>&1 || [ $? != 101 ]; then
  trap restore EXIT
  if [ -e "$policy" ]; then "${root[@]}" mv "$policy" "$policy.before-test-setup"; fi
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 0755 "$policy"
fi

echo "test-setup: installing ${packages[*]}"
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null; }
apt install -y --no-install-recommends "${packages[@]}" ||
  { apt update && apt install -y --no-install-recommends "${packages[@]}"; } ||
  fail "apt-get could not install them"
