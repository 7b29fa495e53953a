#!/usr/bin/env bash
#
# Runs a command that needs servers; its exit status is this one's.
#
#   scripts/with-servers.sh cargo test --locked
#
# With DATABASE_URL and AMQP_URL set, on those servers; nothing is installed or
# started. Otherwise on private ones (services.sh), which are stopped afterwards
# unless they were up before. Only private servers may be restarted:
# CALLTASKD_TEST_SERVICES, the script that does it, is set for them alone, and
# the tests of restarts skip themselves without it.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
services=$root/scripts/services.sh

use_given_servers() {
    echo "servers: on the servers of DATABASE_URL and AMQP_URL; nothing restarts them" >&2
    unset CALLTASKD_TEST_SERVICES
}

# The exit status stays that of the command.
stop_services() {
    local status=$?
    "$services" stop || true
    exit "$status"
}

use_private_servers() {
    local line
    if ! "$services" status 2>/dev/null; then
        trap stop_services EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
    fi
    "$services" install
    "$services" start
    while read -r line; do
        export "${line?}"
    done < <("$services" env)
    export CALLTASKD_TEST_SERVICES=$services
}

cd "$root"
if [[ -n ${DATABASE_URL:-} && -n ${AMQP_URL:-} ]]; then
    use_given_servers
elif [[ -n ${DATABASE_URL:-}${AMQP_URL:-} ]]; then
    echo "servers: error: set both DATABASE_URL and AMQP_URL, for servers of yours, or neither, for private ones" >&2
    exit 2
else
    use_private_servers
fi
"$@"
