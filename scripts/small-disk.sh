# shellcheck shell=bash
#
# A file system of its own for PostgreSQL's tablespace `small_disk`, which can be
# filled up while PostgreSQL's log and all other data have room. Part of
# services.sh, which has what is called here.

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

# Makes the disk as small as what is on it. Others go on writing to it, so each try
# leaves a little more room than the one before, which is soon full as well.
fill_disk() {
    local used try
    find_postgres
    locate_disk
    disk_mounted || die "there is no small disk: $0 small-disk"
    for try in {0..49}; do
        used=$(($(df --output=used -B1K "$disk" | tail -n 1)))
        # Zero would be no limit at all.
        if mount -o "remount,size=$((used + 4 + try * 64))k" "$disk"; then break; fi
        ((try < 49)) || die "the disk does not become small"
    done
    sleep "${1:?SECONDS}"
    mount -o "remount,size=$disk_size" "$disk"
}
