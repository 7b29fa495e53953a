# Installs Debian's packages, for the scripts beside it, which source this file
# and have functions `say` and `die` of their own. Servers that come with a
# package are not started: the project runs its own, on ports of its own.

policy=/usr/sbin/policy-rc.d
policy_mark="temporary, by calltaskd's scripts"

is_root() { ((EUID == 0)); }

as_root() {
    if is_root; then "$@"; else sudo "$@"; fi
}

# Without it the packages would start servers on the standard ports, and fail
# to be installed where those are taken.
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

# What a killed run left behind; nothing while another checkout installs.
tidy_policy() (
    exec 8<"${policy%/*}"
    if flock -n 8; then allow_system_services; fi
)

# In a subshell, so that its traps end with it. Checkouts that install at the
# same time do it one after the other: the policy belongs to the machine.
run_apt() (
    log=$1
    shift
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300)
    exec 8<"${policy%/*}"
    flock -w 600 8 || exit
    trap allow_system_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbid_system_services || exit
    # One repository out of order need not be one that matters.
    as_root "${apt[@]}" update >"$log" 2>&1 8<&- || say "apt-get update failed; going on with the lists at hand"
    as_root "${apt[@]}" install --no-install-recommends "$@" >>"$log" 2>&1 8<&-
)

# install_packages LOG PACKAGE…
install_packages() {
    local log=$1
    shift
    command -v apt-get >/dev/null || die "this is no Debian: install $* by other means"
    is_root || { command -v sudo >/dev/null && sudo true; } || die "installing $* needs root or sudo"
    say "installing $* (log: $log)"
    if ! run_apt "$log" "$@"; then
        tail -n 30 "$log" >&2
        die "$* could not be installed"
    fi
}
