#!/usr/bin/env bash
#
# Real SIP programs that play the daemon's peers in the tests: SIPp (a carrier
# or a voice agent by a scenario), Kamailio (a carrier's proxy), baresip (a
# phone with audio). Debian's packages, each installed once, when it is wanted
# and missing; prints the path of the program.
#
#   sipp=$(scripts/sip-tools.sh sipp)     sipp, kamailio or baresip

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
tools=$root/target/sip-tools
# A user's path need not lead to what administrators run.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'sip-tools: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# shellcheck source=scripts/packages.sh
source "$root/scripts/packages.sh"

has_module() { compgen -G "/usr/lib/*/kamailio/modules/$1.so" >/dev/null; }

missing_packages() {
    case $1 in
        sipp) command -v sipp >/dev/null || echo sip-tester ;;
        kamailio)
            command -v kamailio >/dev/null || echo kamailio
            has_module tls || echo kamailio-tls-modules
            command -v openssl >/dev/null || echo openssl
            ;;
        baresip)
            command -v baresip >/dev/null || echo baresip-core
            command -v ip >/dev/null || echo iproute2
            ;;
        *) die "sipp, kamailio or baresip, not $1" ;;
    esac
}

program=${1:-sipp}
mkdir -p "$tools"
# Tests that run side by side install once. Descriptor 9 holds the lock.
exec 9>"$tools/lock"
flock 9
missing=$(missing_packages "$program")
if [[ -n $missing ]]; then
    tidy_policy
    # shellcheck disable=SC2086
    install_packages "$tools/$program.log" $missing
fi
command -v "$program"
