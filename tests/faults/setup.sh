#!/usr/bin/env bash
# Installs what the fault tests need beyond the Rust toolchain, where it is missing and can be installed: on Debian, as
# root. What is missing then makes a test say that it was skipped.
set -euo pipefail
packages=()
command -v strace >/dev/null || packages+=(strace)
command -v eatmydata >/dev/null || packages+=(eatmydata)
command -v xfs_io >/dev/null || packages+=(xfsprogs)
command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
command -v mkfs.btrfs >/dev/null || packages+=(btrfs-progs)
command -v python3 >/dev/null || packages+=(python3)
if [ "${#packages[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
