#!/usr/bin/env bash
#
# The SIP programs that the tests of calls over SIP are held with: Debian's
# packages, installed once, as far as they are missing; prints the program's path.
#
#   sipp (default)  plays the carrier and the voice agent
#   kamailio        the proxy of a trunk, with TLS
#   baresip         a phone that sends and records sound
#
#   sipp=$(scripts/sip-tools.sh)
#   kamailio=$(scripts/sip-tools.sh kamailio)

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
tools=$root/target/sip-tools
policy=/usr/sbin/policy-rc.d
policy_mark="temporary, by calltaskd's scripts/sip-tools.sh"

die() {
    printf 'sip-tools: error: %s\n' "$*" >&2
    exit 1
}

program=${1:-sipp}
case $program in
    sipp) packages=(sip-tester) ;;
    kamailio) packages=(kamailio kamailio-tls-modules) ;;
    baresip) packages=(baresip-core) ;;
    *) die "unknown program: $program (sipp, kamailio or baresip)" ;;
esac

# A user's PATH need not have the folder of servers.
path() { PATH=$PATH:/usr/sbin command -v "$program"; }

kamailio_has_tls() { compgen -G '/usr/lib/*/kamailio/modules/tls.so' >/dev/null; }

is_installed() { path >/dev/null && { [[ $program != kamailio ]] || kamailio_has_tls; }; }

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Without it Kamailio's package would start a server on the standard port.
forbid_system_services() {
    [[ ! -e $policy ]] || return 0
    printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" | as_root tee "$policy" >/dev/null &&
        as_root chmod 755 "$policy"
}

# Knows its own by the mark: one that was there before stays, one that a killed
# run left behind goes.
allow_system_services() {
    if grep -qsF "$policy_mark" "$policy"; then as_root rm -f "$policy"; fi
}

# In a subshell, so that its traps end with it.
install_packages() (
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300)
    trap allow_system_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbid_system_services || exit
    # One repository out of order need not be one that matters.
    as_root "${apt[@]}" update >&2 || true
    as_root "${apt[@]}" install --no-install-recommends "${packages[@]}" >&2
)

mkdir -p "$tools"
# Tests that run side by side install once.
exec 9>"$tools/lock"
flock 9
if ! is_installed; then
    allow_system_services
    command -v apt-get >/dev/null || die "this is no Debian: install ${packages[*]} by other means"
    install_packages || die "${packages[*]} could not be installed"
    is_installed || die "${packages[*]} are installed, but not where Debian has them"
fi
path
