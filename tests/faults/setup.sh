#!/usr/bin/env bash
# Installs what the fault tests need beyond the Rust toolchain, where it is missing and can be installed: on Debian, as
# root. What is missing then makes a test say that it was skipped.
set -euo pipefail

# What runs that were killed left mounted: the name tells whose it was.
while read -r _ mounted _; do
    folder=${mounted%/mounted}
    name=${folder##*/}
    [[ $name =~ ^mcplog-volume-([0-9]+)- ]] || continue
    if [ ! -d "/proc/${BASH_REMATCH[1]}" ]; then
        echo "unmounting $mounted"
        umount --lazy "$mounted" && rm -rf --one-file-system "$folder"
    fi
done </proc/mounts

packages=()
command -v strace >/dev/null || packages+=(strace)
command -v eatmydata >/dev/null || packages+=(eatmydata)
command -v xfs_io >/dev/null || packages+=(xfsprogs)
command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
command -v mkfs.btrfs >/dev/null || packages+=(btrfs-progs)
command -v python3 >/dev/null || packages+=(python3)
ldconfig -p | grep -q 'libfuse\.so\.2' || packages+=(libfuse2)
command -v prlimit >/dev/null || packages+=(util-linux)
has_fusepy() {
    python3 -c 'import fusepy' 2>/dev/null || python3 -c 'from fuse import FUSE, Operations' 2>/dev/null
}
# Debian's own Python takes no packages from pip, any other none from Debian.
if ! command -v python3 >/dev/null || [ "$(python3 -c 'import sys; print(sys.prefix)')" = /usr ]; then
    has_fusepy || packages+=(python3-fusepy)
fi
if [ "${#packages[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
if ! has_fusepy; then
    echo "installing fusepy"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore fusepy ||
        echo "fusepy can't be installed: what needs a FUSE file system will be skipped"
fi
