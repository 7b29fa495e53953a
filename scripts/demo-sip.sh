#!/usr/bin/env bash
#
# Two hundred calls over SIP on the loopback: SIPp is the carrier and the voice
# agent, the daemon joins them. Ends with the results; fails when the daemon and
# the two SIPps did not count the same calls.
#
#   scripts/with-servers.sh scripts/demo-sip.sh        (make demo-sip)
#
# Everything it writes is in target/demo-sip/; the database and the names on the
# bus go when it ends.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
demo=$root/target/demo-sip
config=$demo/calltaskd.toml
binary=${CARGO_TARGET_DIR:-$root/target}/debug/calltaskd
scenarios=$root/tests/sip/scenarios
calls=${CALLS:-200}
suffix=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
database=calltaskd_demo_$suffix
prefix=calltaskd-demo-$suffix
# Below the ports that the system hands out by itself.
port=$((10000 + $$ % 2000 * 10))
carrier_port=$((port + 2))
agent_port=$((port + 4))
pids=()

: "${DATABASE_URL:?run it by scripts/with-servers.sh}" "${AMQP_URL:?}"
unset "${!CALLTASKD_@}"

say() { printf 'demo-sip: %s\n' "$*"; }
die() {
    printf 'demo-sip: error: %s\n' "$*" >&2
    exit 1
}

on_servers() {
    CALLTASKD__DATABASE__URL=$DATABASE_URL CALLTASKD__BUS__URL=$AMQP_URL \
        timeout --foreground 60 "$binary" --config /dev/null dev "$@"
}

calltaskd() { timeout --foreground 120 "$binary" --config "$config" "$@"; }

shown() {
    printf '$ calltaskd'
    printf ' %q' "$@"
    printf '\n'
    calltaskd "$@"
}

# end_process PID SECONDS: asks it to end, and does not ask for ever.
end_process() {
    local deadline=$((SECONDS + $2))
    kill "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$1" 2>/dev/null || true
        sleep 0.1
    done
    wait "$1" 2>/dev/null || true
}

clean_up() {
    local status=$? pid
    trap '' INT TERM HUP
    for pid in "${pids[@]}"; do end_process "$pid" 50; done
    on_servers database drop "$database" || true
    on_servers bus remove "$prefix" 2>/dev/null || { sleep 2 && on_servers bus remove "$prefix"; } || true
    exit "$status"
}

# start_sipp NAME SCENARIO PORT PORT_OF_AUDIO
start_sipp() {
    mkdir -p "$demo/$1"
    # The scenario leaves open how long it talks.
    sed "s/\[least_talk\]/700/; s/\[most_talk\]/700/" "$scenarios/$2.xml" >"$demo/$1/scenario.xml"
    (cd "$demo/$1" && exec "$sipp" -sf scenario.xml -i 127.0.0.1 -p "$3" -mp "$4" -m "$calls" -d 300 \
        -nostdin -timeout 120 -timeout_error -trace_err -error_file errors -trace_stat -stf counters -fd 1 \
        >screen 2>&1) &
    pids+=($!)
}

# What cannot listen ends at once.
check_sipps() {
    local pid
    for pid in "${pids[@]:0:2}"; do
        kill -0 "$pid" 2>/dev/null || die "a SIPp does not run: $(cat "$demo"/*/errors 2>/dev/null)"
    done
}

# counted NAME COLUMN: the last value of this column.
counted() {
    awk -F';' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i } { last = $column }
        END { print last }' "$demo/$1/counters"
}

write_config() {
    (umask 077 && cat >"$config") <<-SETTINGS
		[node]
		name = "demo-sip"
		[database]
		url = "$(on_servers database create "$database")"
		[bus]
		url = "$AMQP_URL"
		prefix = "$prefix"
		[admin]
		bind = ""
		[logging]
		format = "json"
		[sip]
		bind = "udp:127.0.0.1:$port"
		[trunks.carrier]
		kind = "sip"
		address = "127.0.0.1:$carrier_port"
		options_seconds = 0
	SETTINGS
}

write_callees() {
    local index
    echo calledNumber,firstName
    for ((index = 0; index < calls; index++)); do printf '+49301%07d,Ann\n' "$index"; done
}

start_daemon() {
    "$binary" --config "$config" run </dev/null >"$demo/calltaskd.log" 2>&1 &
    pids+=($!)
    local deadline=$((SECONDS + 60))
    until grep -qs '"message":"ready"' "$demo/calltaskd.log"; do
        ((SECONDS < deadline)) || die "the daemon did not become ready (log: $demo/calltaskd.log)"
        sleep 0.1
    done
}

check_counts() {
    local who answered
    answered=$(grep -Eo 'ANSWERED"?:? *[0-9]+' "$demo/task.json" | grep -Eo '[0-9]+' | tail -n 1)
    [[ $answered == "$calls" ]] || die "the daemon tells of ${answered:-no} answered calls, of $calls"
    for who in carrier agent; do
        [[ $(counted $who 'SuccessfulCall(C)') == "$calls" && $(counted $who 'FailedCall(C)') == 0 ]] ||
            die "the $who counted $(counted $who 'SuccessfulCall(C)') good calls and $(counted $who 'FailedCall(C)') bad ones"
    done
    say "$calls calls: so say the daemon, the carrier and the agent"
}

sipp=$("$root/scripts/sip-tools.sh" sipp)
(cd "$root" && cargo build --locked)
rm -rf "$demo"
mkdir -p "$demo"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
write_config
start_sipp carrier answers "$carrier_port" 30100
start_sipp agent agent_hangs_up "$agent_port" 30200
start_daemon
check_sipps
write_callees >"$demo/callees.csv"
shown agent put --id voice --name 'Voice agent' --sip-uri "sip:voice@127.0.0.1:$agent_port" --variable firstName:required
shown service-instance put --id line --name Line --trunk carrier --max-concurrent 60 --max-cps 50 --number +442079460100
shown task create --name calls --agent voice --service-instance line --concurrency 50
shown import "$demo/callees.csv" --task calls
shown task watch calls
calltaskd task show calls --json >"$demo/task.json"
# The last call ends at its phone a moment before its SIPp does.
for pid in "${pids[@]:0:2}"; do wait "$pid" || die "a SIPp failed (see $demo)"; done
check_counts
