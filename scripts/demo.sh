#!/usr/bin/env bash
#
# A day's work in a minute: a daemon with a simulated carrier, and its own command
# line in the part of the upstream system. Ends with the results, the rejected
# rows and three events; fails when the sums do not agree.
#
# With DATABASE_URL and AMQP_URL set, on those servers; nothing is installed or
# started. Otherwise on private ones (services.sh), which are stopped afterwards
# unless they were up before. In either case in a database of its own, which is
# removed afterwards, and under a bus prefix of its own, likewise.
#
# KEEP=1 leaves daemon and servers running; `demo.sh stop`, part of `make stop`,
# ends that daemon and removes its database and its names on the bus. On private
# servers such a daemon has the default prefix: whoever looks for it there finds
# it without being told.
#
# Everything it writes is in target/demo/.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
services=$root/scripts/services.sh
demo=$root/target/demo
config=$demo/calltaskd.toml
binary=${CARGO_TARGET_DIR:-$root/target}/debug/calltaskd
callees=$root/examples/callees.csv
task=demo

database_server= # the URL that the demo's database is made through
bus_url=
database=        # what was made and must go again
prefix=
daemon=
listener=
started_services=
keep=
[[ ${KEEP:-} != 1 ]] || keep=1

# Settings of the caller's must not reach into the demo.
unset "${!CALLTASKD_@}"

heading() { printf '\n== %s ==\n' "$*"; }
say() { printf 'demo: %s\n' "$*"; }
die() {
    printf 'demo: error: %s\n' "$*" >&2
    exit 1
}

# The command line on the demo's settings. None of its commands takes longer but
# `watch`, which has a limit of its own.
calltaskd() { timeout --foreground 60 "$binary" --config "$config" "$@"; }

# As it would be typed.
typed() {
    printf '$ calltaskd'
    printf ' %q' "$@"
    printf '\n'
}

shown() {
    typed "$@"
    calltaskd "$@"
}

# ------------------------------------------------------------------ the servers

use_private_servers() {
    local line
    if ! "$services" status 2>/dev/null; then started_services=1; fi
    "$services" install
    "$services" start
    while read -r line; do
        case $line in
            AMQP_URL=*) bus_url=${line#*=} ;;
            DATABASE_URL=*) database_server=${line#*=} ;;
        esac
    done < <("$services" env)
    [[ -z $keep ]] || prefix=calltaskd
}

choose_servers() {
    if [[ -n ${DATABASE_URL:-} && -n ${AMQP_URL:-} ]]; then
        say "on the servers of DATABASE_URL and AMQP_URL"
        database_server=$DATABASE_URL
        bus_url=$AMQP_URL
    elif [[ -n ${DATABASE_URL:-}${AMQP_URL:-} ]]; then
        die "set both DATABASE_URL and AMQP_URL, for servers of yours, or neither, for private ones"
    else
        use_private_servers
    fi
}

# ------------------------------------------------- what the demo has for itself

# `dev` on the servers, before and after the demo's own settings exist.
on_servers() {
    CALLTASKD__DATABASE__URL=$database_server CALLTASKD__BUS__URL=$bus_url \
        timeout --foreground 60 "$binary" --config /dev/null dev "$@"
}

# A basic string of TOML.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# Readable by its owner alone: the URLs may hold passwords.
write_config() {
    (umask 077 && cat >"$config") <<-SETTINGS
		# Written by scripts/demo.sh. Try: calltaskd --config $config task list

		[node]
		name = "demo"

		[database]
		url = $(quoted "$database_url")

		[bus]
		url = $(quoted "$bus_url")
		prefix = $(quoted "$prefix")

		[admin]
		bind = ""

		[logging]
		format = "json"

		[trunks.simulated]
		kind = "simulated"
		ring_millis = [100, 800]
		talk_millis = [200, 2000]
		record = $(quoted "$demo/calls.jsonl")
	SETTINGS
}

# Written before the database exists: what is noted is removed, also after a crash.
note_belongings() {
    (umask 077 && printf '%s\n' "$database_server" "$bus_url" "$database" "$prefix" >"$demo/belongings")
}

make_belongings() {
    local suffix
    suffix=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
    database=calltaskd_demo_$suffix
    if [[ -n $prefix ]]; then
        # What an earlier kept daemon left; refused while one is at work there.
        on_servers bus remove "$prefix" || die "somebody works under the bus prefix $prefix already"
    else
        prefix=calltaskd-demo-$suffix
    fi
    note_belongings
    database_url=$(on_servers database create "$database")
    write_config
}

remove_belongings() {
    local failed=0
    local database_server bus_url database prefix
    [[ -f $demo/belongings && -x $binary ]] || return 0
    {
        read -r database_server
        read -r bus_url
        read -r database
        read -r prefix
    } <"$demo/belongings"
    on_servers database drop "$database" || failed=1
    # The broker may take a moment to see that a consumer is gone.
    on_servers bus remove "$prefix" 2>/dev/null || { sleep 2 && on_servers bus remove "$prefix"; } || failed=1
    ((failed == 0)) || return 1
    rm -f "$demo/belongings"
}

# ------------------------------------------------------------------- the daemon

is_daemon() { [[ $(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) == *"--config $config run "* ]]; }

# In a session of its own, so that the end of a terminal is not the daemon's.
start_daemon() {
    setsid "$binary" --config "$config" run </dev/null >"$demo/calltaskd.log" 2>&1 &
    daemon=$!
    echo "$daemon" >"$demo/calltaskd.pid"
    local deadline=$((SECONDS + 60))
    until grep -qs '"message":"ready"' "$demo/calltaskd.log"; do
        if ! kill -0 "$daemon" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 30 "$demo/calltaskd.log" >&2
            die "the daemon did not become ready (log: $demo/calltaskd.log)"
        fi
        sleep 0.1
    done
    say "the daemon is ready (pid $daemon, log target/demo/calltaskd.log)"
}

# It lets its calls end before it goes.
stop_process() {
    local pid=$1 deadline=$((SECONDS + $2))
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            say "$pid does not end: killed" >&2
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$pid" 2>/dev/null || true
}

# Ends what a run with KEEP=1 left.
stop_kept() {
    local pid
    if pid=$(cat "$demo/calltaskd.pid" 2>/dev/null) && is_daemon "$pid"; then
        say "stopping the daemon ($pid)"
        stop_process "$pid" 50
    fi
    rm -f "$demo/calltaskd.pid"
    remove_belongings || say "what is left on the servers is noted in $demo/belongings" >&2
}

# The exit status stays that of the demo.
clean_up() {
    local status=$? failed=0
    trap '' INT TERM HUP
    if [[ $status -ne 0 || -z $keep ]]; then
        [[ -z $listener ]] || stop_process "$listener" 10
        [[ -z $daemon ]] || stop_process "$daemon" 50
        rm -f "$demo/calltaskd.pid"
        remove_belongings || failed=1
        [[ -z $started_services ]] || "$services" stop || failed=1
    fi
    if ((status == 0 && failed != 0)); then
        say "error: something could not be removed (see $demo)" >&2
        status=1
    fi
    exit "$status"
}

# ------------------------------------------------------- the upstream system's day

start_listener() {
    timeout 900 "$binary" --config "$config" events >"$demo/events.jsonl" 2>"$demo/events.err" &
    listener=$!
    local deadline=$((SECONDS + 30))
    until grep -qs '^subscribed' "$demo/events.err"; do
        if ! kill -0 "$listener" 2>/dev/null || ((SECONDS >= deadline)); then
            cat "$demo/events.err" >&2
            die "the events could not be subscribed to"
        fi
        sleep 0.1
    done
}

create_and_import() {
    shown agent put --id reminder --name 'Appointment reminder' --sip-uri sip:reminder@voice.example \
        --variable firstName:required --variable appointment
    shown service-instance put --id demo --name 'Demo numbers' --trunk simulated --max-concurrent 60 --max-cps 50 \
        --number +442079460100 --number +442079460101:40
    shown task create --name "$task" --agent reminder --service-instance demo --concurrency 50
    typed import examples/callees.csv --task "$task"
    calltaskd import "$callees" --task "$task" >"$demo/import.txt"
    tail -n 1 "$demo/import.txt"
    say "the same file once more, as after an interruption: the same receipt, and nobody is imported twice"
    calltaskd import "$callees" --task "$task" --json >"$demo/import.json"
}

# stderr is the progress; stdout, the table, is kept for the end.
follow() {
    typed task watch "$task"
    timeout --foreground 600 "$binary" --config "$config" task watch "$task" 2>&1 >"$demo/results.txt" ||
        die "the task did not complete: $(cat "$demo/results.txt")"
}

# number_of KEY FILE: the last number that has this key.
number_of() { grep -Eo "\"$1\":[0-9]+" "$2" | tail -n 1 | cut -d: -f2; }

final_callees() {
    { grep -E '"final":true|"type":"callee.failed"' "$demo/events.jsonl" || true; } |
        grep -o '"subject":"[^"]*"' | sort -u | wc -l
}

# Events may come after the task's last state, but not by much.
await_final_events() {
    local deadline=$((SECONDS + 30))
    until (($(final_callees) >= $1)) && grep -q '"type":"task.completed"' "$demo/events.jsonl"; do
        ((SECONDS < deadline)) || break
        sleep 0.2
    done
}

check_sums() {
    local rows accepted duplicates rejected results final
    rows=$(($(wc -l <"$callees") - 1))
    calltaskd task show "$task" --json >"$demo/task.json"
    accepted=$(number_of accepted "$demo/import.json")
    duplicates=$(number_of duplicates "$demo/import.json")
    rejected=$(number_of rejected "$demo/import.json")
    results=$(sum_of_results)
    await_final_events "$accepted"
    final=$(final_callees)
    say "accepted $accepted + duplicates $duplicates + rejected $rejected = rows $rows"
    ((accepted > 0 && accepted + duplicates + rejected == rows)) || die "these sums do not agree"
    say "$results callees in the results, $final with a final event"
    ((results == accepted)) || die "$results results for $accepted accepted callees"
    ((final == accepted)) || die "final events of $final callees, $accepted were accepted"
    [[ $(grep -c . "$demo/import.txt") -eq $((rejected + 2)) ]] || die "the rejected rows are not all listed"
}

# Of the callees that were called, by result, and those that could not be.
sum_of_results() {
    local sum number
    sum=$(number_of failed "$demo/task.json")
    while read -r number; do
        sum=$((sum + number))
    done < <(grep -o '"results":{[^}]*}' "$demo/task.json" | grep -o ':[0-9]*' | tr -d :)
    echo "$sum"
}

# The first event with all of these in it.
event_with() {
    local lines pattern
    lines=$(<"$demo/events.jsonl")
    for pattern in "$@"; do
        lines=$(grep -F "$pattern" <<<"$lines") || die "there was no event with $*"
    done
    head -n 1 <<<"$lines"
}

show_the_end() {
    heading "Results"
    cat "$demo/results.txt"
    heading "Rows of the import that were rejected"
    sed '$d' "$demo/import.txt"
    heading "Three of the events, as they came off the bus"
    event_with '"type":"call.ended"' '"result":"ANSWERED"'
    event_with '"type":"call.ended"' '"result":"USER_BUSY"'
    event_with '"type":"task.completed"'
}

show_what_is_kept() {
    heading "Left running, until \`make stop\`"
    say "bus prefix $prefix; try: $binary --config $config task list"
    echo "AMQP_URL=$bus_url"
    echo "DATABASE_URL=$database_url"
    echo "CALLTASKD_PID=$daemon"
}

run_demo() {
    local pid
    if pid=$(cat "$demo/calltaskd.pid" 2>/dev/null) && is_daemon "$pid"; then
        die "the daemon of an earlier demo is running ($pid): make stop"
    fi
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    heading "Servers"
    choose_servers
    heading "Build"
    (cd "$root" && timeout --foreground 3600 cargo build --locked)
    remove_belongings || say "an earlier demo's database or names could not be removed"
    rm -rf "$demo"
    mkdir -p "$demo"
    heading "Daemon"
    make_belongings
    shown migrate
    start_daemon
    heading "The upstream system's day"
    start_listener
    create_and_import
    follow
    check_sums
    stop_process "$listener" 10
    listener=
    show_the_end
    [[ -z $keep ]] || show_what_is_kept
}

case ${1:-run} in
    run) run_demo ;;
    stop) stop_kept ;;
    *) die "unknown command: $1 (run or stop)" ;;
esac
