#!/usr/bin/env bash
#
# The Python that the tests check files and stores with: openpyxl reads what a
# spreadsheet would, moto plays S3. Installed by pip into target/python-tools,
# once; prints the path of its python.
#
#   python=$(scripts/python-tools.sh)

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
tools=$root/target/python-tools
packages=(openpyxl==3.1.5 'moto[server]==5.1.22')
stamp=$tools/installed

mkdir -p "$tools"
# Tests that run side by side install once.
exec 9>"$tools/lock"
flock 9
if [[ ! -e $stamp || $(<"$stamp") != "${packages[*]}" ]]; then
    if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c 'import ensurepip' 2>/dev/null; then
        sudo=
        [[ $(id -u) == 0 ]] || sudo=sudo
        $sudo apt-get update -q >&2 || true
        $sudo apt-get install -y -q python3 python3-venv >&2
    fi
    python3 -m venv "$tools/venv" >&2
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    printf '%s' "${packages[*]}" >"$stamp"
fi
printf '%s\n' "$tools/venv/bin/python"
