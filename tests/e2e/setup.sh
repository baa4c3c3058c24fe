#!/usr/bin/env bash
# Installs what the end-to-end tests need into tests/e2e/.installed (git-ignored): one virtual environment for each
# generation of the Python SDK, and the npm packages. Does nothing where that is done already, and does it again when
# a pinned version changed. Needs python3 (3.10 or later) with venv, and node (20 or later) with npm.
#
# With --check it installs nothing, says what is missing, and fails if anything is.
set -euo pipefail
cd "$(dirname "$0")"
installed=.installed
check_only=${1:-}

# part NAME INSTALL PINNED...: installs a part unless its stamp says that these very files were installed.
part() {
    local name=$1 install=$2 stamp
    shift 2
    stamp=$(cat "$@" | sha256sum)
    if [ "$(cat "$installed/$name.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    if [ "$check_only" = --check ]; then
        echo "$name is not installed, or not in the pinned versions"
        exit 1
    fi
    echo "tests/e2e: installing $name"
    mkdir -p "$installed"
    rm -f "$installed/$name.stamp"
    "$install" "$name"
    echo "$stamp" >"$installed/$name.stamp"
}

python_packages() {
    rm -rf "${installed:?}/$1"
    python3 -m venv "$installed/$1"
    "$installed/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "requirements-$1.txt"
}

node_packages() {
    cp package.json package-lock.json "$installed/"
    npm ci --prefix "$installed" --no-audit --no-fund --ignore-scripts --loglevel=error
}

part mcp1 python_packages requirements-mcp1.txt
part mcp2 python_packages requirements-mcp2.txt
part fastmcp python_packages requirements-fastmcp.txt
part npm node_packages package.json package-lock.json
