#!/usr/bin/env bash
# Lays out the image's root file system: deploy/image-rootfs.sh FOLDER
# The Dockerfile runs it, and so does the test beside it. As root it gives the data folder to the image's user,
# otherwise the data folder stays with the caller.
set -euo pipefail
umask 022
rootfs=${1:?usage: deploy/image-rootfs.sh FOLDER}
mkdir -p "$rootfs"
rootfs=$(cd "$rootfs" && pwd)
cd "$(dirname "$0")/.."

user=65532
scripts/build.sh "$rootfs/belpoort"
install -d -m 0755 "$rootfs/etc" "$rootfs/var/lib"
echo "nonroot:x:$user:$user:nonroot:/var/lib/belpoort:/sbin/nologin" >"$rootfs/etc/passwd"
echo "nonroot:x:$user:" >"$rootfs/etc/group"
# keys lies there already so that a volume mounted on it, which several nodes may share, belongs to the image's user too.
install -d -m 0700 "$rootfs/var/lib/belpoort" "$rootfs/var/lib/belpoort/keys"
if [ "$(id -u)" = 0 ]; then chown -R "$user:$user" "$rootfs/var/lib/belpoort"; fi
