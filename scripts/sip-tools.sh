#!/usr/bin/env bash
#
# SIPp, which plays the carrier and the voice agent in the tests of calls over
# SIP: Debian's package sip-tester, installed once, if it is missing; prints the
# path of the program.
#
#   sipp=$(scripts/sip-tools.sh)

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
tools=$root/target/sip-tools

mkdir -p "$tools"
# Tests that run side by side install once.
exec 9>"$tools/lock"
flock 9
if ! command -v sipp >/dev/null; then
    sudo=
    [[ $(id -u) == 0 ]] || sudo=sudo
    $sudo apt-get update -q >&2 || true
    $sudo apt-get install -y -q sip-tester >&2
fi
command -v sipp
