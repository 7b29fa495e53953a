#!/usr/bin/env bash
#
# Private PostgreSQL and RabbitMQ for the tests, the bench and the demo.
#
# They run beside whatever the machine serves already: on loopback ports of
# their own, as the user who calls this, with everything they write under
# target/services/. Several checkouts can have theirs up at once. The data stays
# when they stop; `rm -rf target/services` (after a stop) gives fresh ones.
#
#   install                 Debian's packages, as far as they are missing
#   start                   bring both up; does nothing to what is up already
#   env                     AMQP_URL=… and DATABASE_URL=…, two lines
#   status                  succeeds when both are up
#   stop                    end both, and a daemon that a demo left running
#   restart-postgres [MODE [SECONDS]]
#                           MODE is fast (default) or immediate (a crash); stays
#                           away for so long in between
#   restart-rabbitmq [MODE] the same
#   close-connections       RabbitMQ closes all that clients have
#   block-publishers SECONDS
#                           RabbitMQ's alarm of memory, for so long
#   small-disk              a file system of its own (root only) with PostgreSQL's
#                           tablespace `small_disk`; gone with `stop`
#   fill-disk SECONDS       leaves no room on it for so long
#
# How a process is known to be ours, since a pid in a file may by now be
# someone else's: PostgreSQL's processes stand in the data directory; those of
# RabbitMQ carry a mark in their environment (epmd turns into a daemon without a
# pid file, and PostgreSQL overwrites its environment, so neither way fits both).

set -euo pipefail

# A developer's own PGHOST, PGOPTIONS, … must not reach into these servers.
unset "${!PG@}"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
services=$root/target/services
rabbit_home=$services/rabbitmq
node=calltaskd@localhost
rabbit_log=$rabbit_home/log/$node.log
demo_pid_file=$root/target/demo/calltaskd.pid

declare -A port=()

# Progress goes to stderr: stdout belongs to `env`.
say() { printf 'services: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# shellcheck source=scripts/packages.sh
source "$root/scripts/packages.sh"

show_tail() {
    local file
    for file in "$@"; do
        [[ -s $file ]] || continue
        say "the end of $file:"
        tail -n 30 "$file" >&2
    done
}

# wait_for SECONDS WHAT CONDITION…: the condition returns 0 for "yes", 1 for
# "not yet" and 2 for "never any more".
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2 answer
    shift 2
    while true; do
        if "$@"; then return 0; else answer=$?; fi
        ((answer != 2)) || return 1
        if ((SECONDS >= deadline)); then
            say "gave up waiting: $what"
            return 1
        fi
        sleep 0.1
    done
}

# The processes given by pid that are gone already are no error.
signal() {
    local name=$1
    shift
    (($# == 0)) || kill -s "$name" "$@" 2>/dev/null || true
}

# ---------------------------------------------------------------- packages

newest() { printf '%s\n' "$@" | sort -V | tail -n 1; }

postgres_installed() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
rabbit_installed() { compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server' >/dev/null; }

# The tests mislead a daemon with it.
faketime_installed() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }

missing_packages() {
    postgres_installed || echo postgresql
    rabbit_installed || echo rabbitmq-server
    faketime_installed || echo libfaketime
}

install() {
    local log=$services/install.log missing
    tidy_policy
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} == 0)); then
        say "the packages are installed"
        return
    fi
    install_packages "$log" "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) || die "the packages are installed, but not where Debian has them: ${missing[*]}"
    say "installed"
}

# ---------------------------------------------------------- folder and ports

# Servers of the same checkout are started and stopped by one caller at a time.
# Descriptor 9 is closed for every server: it would hold the lock for its life.
lock() {
    exec 9>"$services/lock"
    flock -w 300 9 || die "another call of this script has held $services/lock for 5 minutes"
}

make_folder() {
    # RabbitMQ's disk monitor hands the path to a shell as it is, and hangs.
    [[ $root != *[\'\"\`\$\;\&\|\<\>\(\)\\]* ]] || die "the path has a character that a shell reads otherwise: $root"
    mkdir -p "$services"
    [[ -O $services ]] || die "$services belongs to $(stat -c %U "$services"): call this as that user, or remove it"
}

# A copy of a checkout brings along files of servers that are not its own: ports,
# pids, data copied while it was written.
is_own() { [[ $(cat "$services/checkout" 2>/dev/null) == "$root" ]]; }

forget_foreign_files() {
    is_own && return
    find "$services" -mindepth 1 -maxdepth 1 ! -name lock ! -name install.log -exec rm -rf {} +
    echo "$root" >"$services/checkout"
}

open_folder() {
    make_folder
    lock
    forget_foreign_files
    load_ports
}

load_ports() {
    local name number
    [[ -f $services/ports ]] || return 0
    while IFS='=' read -r name number; do
        port[$name]=$number
    done <"$services/ports"
}

save_ports() {
    local name
    for name in "${!port[@]}"; do
        echo "$name=${port[$name]}"
    done | sort >"$services/ports.new"
    mv "$services/ports.new" "$services/ports"
}

port_answers() {
    timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
}

# Below 32768, where Linux begins to hand out ports for outgoing connections:
# one of those would block a server's way back to its port after a restart.
random_free_port() {
    local number
    while true; do
        number=$((20000 + RANDOM % 12000))
        [[ " ${port[*]} " != *" $number "* ]] || continue
        port_answers "$number" || break
    done
    echo "$number"
}

# Keeps the remembered ports that are free; for servers that are not running.
settle_ports() {
    local name
    for name in "$@"; do
        if [[ -z ${port[$name]:-} ]] || port_answers "${port[$name]}"; then
            port[$name]=$(random_free_port)
        fi
    done
    save_ports
}

# Whether a start failed for that: another checkout may take the port between
# the look and the bind, or somebody holds it without listening.
port_was_taken() {
    local signs='Address already in use|eaddrinuse|dist_port_already_used|duplicate_node_name|nodistribution'
    [[ $(tail -qn 100 "$@" 2>/dev/null) =~ $signs ]]
}

# -------------------------------------------------------------- PostgreSQL

# PostgreSQL refuses to run as root.
as_postgres() {
    if is_root; then runuser -u postgres -- "$@"; else "$@"; fi
}

# Where root's checkout is closed to the user postgres, its data lies here. Only
# a folder of root's counts: everybody may make one in /var/tmp.
data_outside() {
    local folder
    is_root || return 1
    for folder in /var/tmp/calltaskd-services.*; do
        if [[ -d $folder && ! -L $folder && -O $folder && $(cat "$folder/checkout" 2>/dev/null) == "$root" ]]; then
            echo "$folder/postgres"
            return
        fi
    done
    return 1
}

# Also finds the servers when target/ was removed under them (`cargo clean`).
locate_postgres() {
    if [[ -e $services/postgres ]]; then
        pg_home=$(readlink -f "$services/postgres")
    else
        pg_home=$(data_outside || readlink -m "$services/postgres")
    fi
    pg_data=$pg_home/data
    pg_log=$pg_home/log
}

give_to_postgres() {
    mkdir -p "$1"
    if is_root; then chown postgres: "$1"; fi
}

make_data_outside() {
    local folder
    folder=$(mktemp -d /var/tmp/calltaskd-services.XXXXXX)
    chmod 755 "$folder"
    echo "$root" >"$folder/checkout"
    give_to_postgres "$folder/postgres"
}

prepare_postgres_folder() {
    ! is_root || id postgres >/dev/null 2>&1 || die "there is no user postgres, and PostgreSQL refuses to run as root"
    locate_postgres
    if [[ ! -e $pg_home ]]; then
        rm -f "$services/postgres" # a link that leads nowhere
        give_to_postgres "$services/postgres"
    fi
    if ! as_postgres test -w "$pg_home"; then
        rm -rf "$services/postgres"
        data_outside >/dev/null || make_data_outside
    fi
    locate_postgres
    if [[ ! -e $services/postgres ]]; then
        ln -s "$pg_home" "$services/postgres"
        say "the user postgres cannot enter $root: its data is in $pg_home"
    fi
    as_postgres mkdir -p "$pg_home/socket"
}

# The binaries that fit the data, or the newest for data yet to be made.
locate_postgres_binaries() {
    local version
    if [[ -f $pg_data/PG_VERSION ]]; then
        version=$(<"$pg_data/PG_VERSION")
        pg_bin=/usr/lib/postgresql/$version/bin
        [[ -x $pg_bin/postgres ]] || die "PostgreSQL $version made $pg_data but is not installed any more: remove $pg_home"
    else
        postgres_installed || die "PostgreSQL is not installed: $0 install"
        pg_bin=$(dirname "$(newest /usr/lib/postgresql/*/bin/postgres)")
    fi
}

# Renamed when whole: an initdb that was killed leaves no data directory.
make_cluster() {
    [[ ! -d $pg_data ]] || return 0
    say "making a PostgreSQL cluster in $pg_data"
    as_postgres rm -rf "$pg_data.new"
    if ! as_postgres "$pg_bin/initdb" -D "$pg_data.new" -U calltaskd -A trust -E UTF8 --locale=C.UTF-8 \
        >"$services/initdb.log" 2>&1; then
        show_tail "$services/initdb.log"
        die "initdb failed"
    fi
    echo "include 'calltaskd.conf'" | as_postgres tee -a "$pg_data.new/postgresql.conf" >/dev/null
    as_postgres mv "$pg_data.new" "$pg_data"
}

# The socket's folder is relative to the data directory: the path of a socket
# may have 107 bytes, and that of a checkout has no such limit.
# fsync and synchronous_commit stay on: the tests pull the plug. The commits'
# timestamps are a witness of what was committed before what.
write_postgres_settings() {
    as_postgres tee "$pg_data/calltaskd.conf" >/dev/null <<-SETTINGS
		listen_addresses = '127.0.0.1'
		port = ${port[postgres]}
		unix_socket_directories = '../socket'
		max_connections = 300
		track_commit_timestamp = on
		timezone = 'UTC'
		log_timezone = 'UTC'
	SETTINGS
}

# comm, too: a shell may stand in the data directory as well.
is_postgres() {
    local folder
    folder=$(readlink "/proc/$1/cwd" 2>/dev/null) || return 1
    [[ ${folder% (deleted)} == "$pg_data" && $(cat "/proc/$1/comm" 2>/dev/null) == postgres ]]
}

postgres_processes() {
    local pid
    { grep -lxs postgres /proc/[0-9]*/comm || true; } |
        while IFS=/ read -r _ _ pid _; do
            if is_postgres "$pid"; then echo "$pid"; fi
        done
}

postmaster() {
    local pid
    pid=$(head -n 1 "$pg_data/postmaster.pid" 2>/dev/null) && is_postgres "$pid" && echo "$pid"
}

sql() {
    PGCONNECT_TIMEOUT=10 "$pg_bin/psql" -XwtAq -h 127.0.0.1 -p "${port[postgres]}" -U calltaskd -d "$1" -c "$2"
}

postgres_up() {
    [[ -n ${port[postgres]:-} ]] && postmaster >/dev/null &&
        [[ $(sql postgres 'show data_directory' 2>/dev/null) == "$pg_data" ]]
}

postgres_gone() { [[ -z $(postgres_processes) ]]; }

# pg_ctl detaches the server, and returns when it answers.
launch_postgres() {
    write_postgres_settings || return
    # No server of ours is left: what these say is stale, but a new one refuses
    # to start while any process has that pid, be it a zombie.
    rm -f "$pg_data/postmaster.pid" "$pg_home"/socket/.s.PGSQL.*
    say "starting PostgreSQL on port ${port[postgres]}"
    as_postgres "$pg_bin/pg_ctl" -D "$pg_data" -l "$pg_log" -w -t 120 start >"$services/pg_ctl.log" 2>&1 9>&- &&
        wait_for 10 "for PostgreSQL's answer" postgres_up
}

postgres_failed() {
    show_tail "$services/pg_ctl.log" "$pg_log"
    die "PostgreSQL did not start (to give its data up: rm -rf $pg_home)"
}

make_database() {
    [[ -n $(sql postgres "select 1 from pg_database where datname = 'calltaskd'") ]] ||
        sql postgres 'create database calltaskd'
}

start_postgres() {
    local try
    prepare_postgres_folder
    locate_postgres_binaries
    if postgres_up; then
        say "PostgreSQL is up on port ${port[postgres]}"
    else
        stop_postgres fast
        make_cluster
        for try in 1 2 3; do
            settle_ports postgres
            ! launch_postgres || break
            if ((try == 3)) || ! port_was_taken "$pg_log"; then postgres_failed; fi
            unset 'port[postgres]'
        done
    fi
    make_database
}

# INT and QUIT are PostgreSQL's fast and immediate shutdown. A server that lost
# its head leaves processes that would keep the next one from starting.
stop_postgres() {
    local mode=$1 pids main
    mapfile -t pids < <(postgres_processes)
    ((${#pids[@]} > 0)) || return 0
    say "stopping PostgreSQL ($mode)"
    main=$(postmaster || true)
    if [[ -n $main ]]; then
        if [[ $mode == fast ]]; then signal INT "$main"; else signal QUIT "$main"; fi
        wait_for 60 "for PostgreSQL's end" postgres_gone && return
    fi
    mapfile -t pids < <(postgres_processes)
    signal KILL "${pids[@]}"
    wait_for 10 "for PostgreSQL's end by SIGKILL" postgres_gone || die "PostgreSQL does not end: ${pids[*]}"
}

find_postgres() {
    open_folder
    locate_postgres
    locate_postgres_binaries
    postgres_up || die "PostgreSQL is not up: $0 start"
}

restart_postgres() {
    local mode=${1:-fast} seconds=${2:-0}
    [[ $mode == fast || $mode == immediate ]] || die "restart-postgres: fast or immediate, not $mode"
    find_postgres
    stop_postgres "$mode"
    sleep "$seconds"
    launch_postgres || postgres_failed
}

# ------------------------------------------------------------ the small disk

# Memory is taken only as far as it is written to.
disk_size=4g

locate_disk() { disk=$pg_home/disk; }

disk_mounted() { mountpoint -q "$disk"; }

# What was on a disk that is gone, after a reboot say, cannot be dropped by its
# owners any more.
forget_disk() {
    local database
    sql postgres "select datname from pg_database d join pg_tablespace t on t.oid = d.dattablespace
                  where spcname = 'small_disk'" |
        while read -r database; do
            sql postgres "drop database \"$database\" with (force)" </dev/null
        done
    sql postgres 'drop tablespace if exists small_disk'
}

small_disk() {
    find_postgres
    locate_disk
    if disk_mounted; then
        mount -o "remount,size=$disk_size" "$disk"
        return
    fi
    is_root || die "only root can mount a disk"
    forget_disk
    as_postgres mkdir -p "$disk"
    mount -t tmpfs -o "size=$disk_size,uid=$(id -u postgres),gid=$(id -g postgres),mode=0700" calltaskd-test "$disk" ||
        die "no disk can be mounted on $disk"
    sql postgres "create tablespace small_disk location '$disk'"
}

# Before PostgreSQL stops, which alone can drop what is on it.
remove_disk() {
    locate_disk
    disk_mounted || return 0
    if postgres_up; then forget_disk; fi
}

unmount_disk() {
    locate_disk
    ! disk_mounted || umount "$disk"
}

# Makes the disk as small as what is on it, which others go on writing to.
fill_disk() {
    local used try
    find_postgres
    locate_disk
    disk_mounted || die "there is no small disk: $0 small-disk"
    for try in 1 2 3 4 5; do
        used=$(($(df --output=used -B1K "$disk" | tail -n 1)))
        # Zero would be no limit at all.
        if mount -o "remount,size=$((used > 0 ? used : 4))k" "$disk"; then break; fi
        ((try < 5)) || die "the disk does not become small"
    done
    sleep "${1:?SECONDS}"
    mount -o "remount,size=$disk_size" "$disk"
}

# ---------------------------------------------------------------- RabbitMQ

is_rabbit() { grep -qzxsF "CALLTASKD_RABBITMQ=$rabbit_home" "/proc/$1/environ"; }

rabbit_processes() {
    local pid
    { grep -lzxsF "CALLTASKD_RABBITMQ=$rabbit_home" /proc/[0-9]*/environ || true; } |
        while IFS=/ read -r _ _ pid _; do echo "$pid"; done
}

rabbit_pid() {
    local pid
    pid=$(cat "$rabbit_home/pid" 2>/dev/null) && is_rabbit "$pid" && echo "$pid"
}

rabbit_gone() { [[ -z $(rabbit_processes) ]]; }
rabbit_node_gone() { ! is_rabbit "$1"; }

# Sends AMQP 0-9-1's header and expects connection.start (class 10, method 10).
# Not `rabbitmqctl await_startup`: that is a second Erlang machine for seconds.
amqp_answers() {
    local greeting
    greeting=$(timeout 10 bash -c "
        exec 3<>/dev/tcp/127.0.0.1/$1
        printf 'AMQP\0\0\11\1' >&3
        head -c 11 <&3 | od -An -tx1" 2>/dev/null) || return 1
    [[ $greeting == *' 00 0a 00 0a' ]]
}

rabbit_up() {
    [[ -n ${port[amqp]:-} ]] && rabbit_pid >/dev/null && amqp_answers "${port[amqp]}"
}

rabbit_up_or_dead() {
    rabbit_up && return 0
    if kill -0 "$rabbit_launcher" 2>/dev/null; then return 1; else return 2; fi
}

# Data without `made` is that of a first start which was killed on the way. It
# may lack its user or its virtual host, and holds nothing to keep.
prepare_rabbit_folder() {
    [[ -f $rabbit_home/made ]] || rm -rf "$rabbit_home"
    mkdir -p "$rabbit_home"/{conf.d,log}
    echo '[].' >"$rabbit_home/enabled_plugins"
    # Beyond these limits RabbitMQ blocks publishers, which a test or the bench
    # would take for a fault of the daemon.
    cat >"$rabbit_home/rabbitmq.conf" <<-SETTINGS
		disk_free_limit.absolute = 50MB
		vm_memory_high_watermark.relative = 0.4
	SETTINGS
}

# Enough for many connections, and no more: Erlang's helpers close every
# descriptor up to the limit one by one, and in containers the limit can be a
# thousand million.
limit_descriptors() {
    local hard
    hard=$(ulimit -Hn)
    if [[ $hard == unlimited ]] || ((hard > 65536)); then hard=65536; fi
    ulimit -Sn "$hard"
}

# Not /usr/sbin/rabbitmq-server: it changes the user, loses HOME and with it
# the cookie. An empty environment, for every RABBITMQ_* and ERL_* has a meaning.
#  * ERL_AFLAGS instead of RabbitMQ's own variables for arguments: at its start
#    RabbitMQ runs further Erlang machines, which would listen on every address.
#  * NODENAME is bound to the data and so the same in every checkout; it is told
#    apart by epmd's port. "localhost" leaves the host's name out of the game.
#  * CONF_ENV_FILE, CONFIG_FILES: nothing of /etc/rabbitmq is for this server.
launch_rabbit() {
    local server
    server=$(newest /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server)
    say "starting RabbitMQ on port ${port[amqp]}"
    rm -f "$rabbit_home/pid"
    (
        cd "$rabbit_home" || exit
        limit_descriptors
        exec setsid env -i \
            CALLTASKD_RABBITMQ="$rabbit_home" \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            LANG=C.UTF-8 \
            HOME="$rabbit_home" \
            ERL_EPMD_PORT="${port[epmd]}" \
            ERL_EPMD_ADDRESS=127.0.0.1 \
            ERL_AFLAGS='-kernel inet_dist_use_interface {127,0,0,1}' \
            RABBITMQ_CONF_ENV_FILE=/dev/null \
            RABBITMQ_CONFIG_FILE="$rabbit_home/rabbitmq.conf" \
            RABBITMQ_CONFIG_FILES="$rabbit_home/conf.d" \
            RABBITMQ_ENABLED_PLUGINS_FILE="$rabbit_home/enabled_plugins" \
            RABBITMQ_NODENAME="$node" \
            RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
            RABBITMQ_NODE_PORT="${port[amqp]}" \
            RABBITMQ_DIST_PORT="${port[distribution]}" \
            RABBITMQ_MNESIA_BASE="$rabbit_home/mnesia" \
            RABBITMQ_LOG_BASE="$rabbit_home/log" \
            RABBITMQ_PID_FILE="$rabbit_home/pid" \
            "$server" >"$rabbit_home/log/start.log" 2>&1 9>&-
    ) &
    rabbit_launcher=$!
    wait_for 90 "for RabbitMQ's answer" rabbit_up_or_dead && touch "$rabbit_home/made"
}

rabbit_failed() {
    show_tail "$rabbit_home/log/start.log" "$rabbit_log"
    stop_rabbit immediate
    die "RabbitMQ did not start (to give its data up: rm -rf $rabbit_home)"
}

start_rabbit() {
    local try
    rabbit_installed || die "RabbitMQ is not installed: $0 install"
    if rabbit_up; then
        say "RabbitMQ is up on port ${port[amqp]}"
        return
    fi
    stop_rabbit fast
    prepare_rabbit_folder
    for try in 1 2 3; do
        settle_ports amqp distribution epmd
        ! launch_rabbit || return 0
        if ((try == 3)) || ! port_was_taken "$rabbit_home/log/start.log" "$rabbit_log"; then rabbit_failed; fi
        stop_rabbit fast
        unset 'port[amqp]' 'port[distribution]' 'port[epmd]'
    done
}

stop_rabbit() {
    local mode=$1 pids main
    mapfile -t pids < <(rabbit_processes)
    ((${#pids[@]} > 0)) || return 0
    say "stopping RabbitMQ ($mode)"
    if [[ $mode == fast ]]; then
        main=$(rabbit_pid || true)
        if [[ -n $main ]]; then
            signal TERM "$main"
            # By the pid: the file goes when the shutdown begins.
            wait_for 60 "for RabbitMQ's end" rabbit_node_gone "$main" || true
        fi
        # What is left: epmd, which outlives its node, or a start cut short.
        mapfile -t pids < <(rabbit_processes)
        signal TERM "${pids[@]}"
        wait_for 10 "for the end of RabbitMQ's helpers" rabbit_gone && return
    fi
    mapfile -t pids < <(rabbit_processes)
    signal KILL "${pids[@]}"
    wait_for 10 "for RabbitMQ's end by SIGKILL" rabbit_gone || die "RabbitMQ does not end: ${pids[*]}"
}

restart_rabbit() {
    local mode=${1:-fast}
    [[ $mode == fast || $mode == immediate ]] || die "restart-rabbitmq: fast or immediate, not $mode"
    open_folder
    rabbit_up || die "RabbitMQ is not up: $0 start"
    stop_rabbit "$mode"
    launch_rabbit || rabbit_failed
}

rabbit_control() {
    env -i \
        CALLTASKD_RABBITMQ="$rabbit_home" \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        LANG=C.UTF-8 \
        HOME="$rabbit_home" \
        ERL_EPMD_PORT="${port[epmd]}" \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        ERL_AFLAGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_CONF_ENV_FILE=/dev/null \
        RABBITMQ_NODENAME="$node" \
        "$(newest /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl)" --node "$node" "$@" >&2
}

find_rabbit() {
    open_folder
    rabbit_up || die "RabbitMQ is not up: $0 start"
}

close_connections() {
    find_rabbit
    rabbit_control close_all_connections 'by an operator'
}

# Sets back what prepare_rabbit_folder wrote.
block_publishers() {
    find_rabbit
    rabbit_control set_vm_memory_high_watermark absolute 1
    sleep "${1:?SECONDS}"
    rabbit_control set_vm_memory_high_watermark 0.4
}

# ------------------------------------------------------------ the demo's daemon

demo_daemon() {
    local pid
    pid=$(cat "$demo_pid_file" 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) == calltaskd ]] && echo "$pid"
}

demo_daemon_gone() { ! demo_daemon >/dev/null; }

# Before its servers. It lets its calls end (30 s by default) before it goes.
stop_demo_daemon() {
    local pid
    if pid=$(demo_daemon); then
        say "stopping the demo's daemon ($pid)"
        signal TERM "$pid"
        if ! wait_for 45 "for the daemon's end" demo_daemon_gone; then
            signal KILL "$pid"
            wait_for 10 "for the daemon's end by SIGKILL" demo_daemon_gone || die "the daemon does not end: $pid"
        fi
    fi
    rm -f "$demo_pid_file"
}

# -------------------------------------------------------------- the commands

start() {
    open_folder
    start_postgres
    start_rabbit
}

print_urls() {
    load_ports
    if ! is_own || [[ -z ${port[amqp]:-} || -z ${port[postgres]:-} ]]; then
        die "not started in this checkout: $0 start"
    fi
    echo "AMQP_URL=amqp://guest:guest@127.0.0.1:${port[amqp]}/%2f"
    echo "DATABASE_URL=postgres://calltaskd@127.0.0.1:${port[postgres]}/calltaskd"
}

status() {
    is_own || return 1
    load_ports
    locate_postgres
    # Without the data directory there is no version to look for, nor a server.
    [[ -d $pg_data ]] || return 1
    locate_postgres_binaries
    postgres_up && rabbit_up
}

stop() {
    stop_demo_daemon
    open_folder
    locate_postgres
    stop_rabbit fast
    if [[ -d $pg_data ]]; then
        locate_postgres_binaries
        remove_disk
    fi
    stop_postgres fast
    unmount_disk
    say "nothing is running"
}

usage() {
    sed -n '/^#   install/,/^#   fill-disk/s/^# //p' "$root/scripts/services.sh"
}

main() {
    # No server keeps the caller's terminal or folder, and postgres may not be
    # able to enter the latter.
    exec </dev/null
    cd /
    umask 022
    local command=${1:-help}
    shift || true
    case $command in
        install)
            make_folder
            lock
            install
            ;;
        start) start ;;
        env) print_urls ;;
        status) status ;;
        stop) stop ;;
        restart-postgres) restart_postgres "$@" ;;
        restart-rabbitmq) restart_rabbit "$@" ;;
        close-connections) close_connections ;;
        block-publishers) block_publishers "$@" ;;
        small-disk) small_disk ;;
        fill-disk) fill_disk "$@" ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            die "unknown command: $command"
            ;;
    esac
}

main "$@"
