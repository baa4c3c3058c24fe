#!/usr/bin/env bash
# Installs what the end-to-end tests need into tests/e2e/.installed (git-ignored): one virtual environment for each
# generation of the Python SDK, and the npm packages. Does nothing where that is done already, and does it again when
# a pinned version changed. Needs python3 (3.10 or later) with venv, and node (20 or later) with npm.
set -euo pipefail
cd "$(dirname "$0")"
installed=.installed
mkdir -p "$installed"

# install NAME PINNED...: runs install_NAME unless the stamp says that these very files were installed.
install() {
    local name=$1 stamp
    shift
    stamp=$(cat "$@" | sha256sum)
    if [ "$(cat "$installed/$name.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    echo "tests/e2e: installing $name"
    rm -f "$installed/$name.stamp"
    "install_${name%%[0-9]*}" "$name"
    echo "$stamp" >"$installed/$name.stamp"
}

install_mcp() {
    rm -rf "${installed:?}/$1"
    python3 -m venv "$installed/$1"
    "$installed/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "requirements-$1.txt"
}

install_npm() {
    cp package.json package-lock.json "$installed/"
    npm ci --prefix "$installed" --no-audit --no-fund --ignore-scripts --loglevel=error
}

install mcp1 requirements-mcp1.txt
install mcp2 requirements-mcp2.txt
install npm package.json package-lock.json
