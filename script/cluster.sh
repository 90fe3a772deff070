# shellcheck shell=bash
# The private PostgreSQL cluster of script/server. Sourced after lib.sh.
#
# It lives in var/postgres: data/ (the cluster), socket/ and log. Only its Unix socket lets anyone in, and only
# the cluster's owner and root can reach that: PostgreSQL trusts whoever gets so far.
#
# PostgreSQL refuses to run as root. Started by root, the cluster therefore belongs to the user "postgres" that
# Debian's package makes; started by somebody else, to that user.

if ((EUID == 0)); then
    cluster_owner=postgres
    as_cluster_owner() { runuser -u postgres -- "$@"; }
else
    cluster_owner=$(id -un)
    as_cluster_owner() { "$@"; }
fi

cluster_home=$root/var/postgres

# in_cluster PROGRAM...: runs one of PostgreSQL's programs as the owner, from the cluster's home, so that no
# unusual character in the clone's path ever reaches the shell that pg_ctl calls. The locks (8 and 9) of
# script/server must not live on in a server that outlives it.
in_cluster() {
    local program=$1
    shift
    (cd "$cluster_home" && as_cluster_owner "$cluster_bin/$program" "$@" 8>&- 9>&-)
}

# A directory for the cluster. Where its owner cannot enter the clone (it is below a mode 700 directory, such as
# /root), that is one of the owner's own, and var/postgres links to it.
cluster_make_home() {
    [[ ! -L $cluster_home || -e $cluster_home ]] || rm -f "$cluster_home" # the link of a directory that is gone
    [[ ! -d $cluster_home ]] || return 0
    if as_cluster_owner test -x "$root/var"; then
        install -d -m 700 -o "$cluster_owner" "$cluster_home"
        return
    fi
    local elsewhere
    elsewhere=$(as_cluster_owner mktemp -d "$(getent passwd "$cluster_owner" | cut -d: -f6)/carbond-XXXXXXXX")
    ln -s "$elsewhere" "$cluster_home"
    say "the user $cluster_owner cannot enter $root: the data is kept in $elsewhere (var/postgres links to it)"
}

cluster_check_owner() {
    local owner
    owner=$(stat -L -c %U "$cluster_home")
    [[ $owner == "$cluster_owner" ]] ||
        die "the data in var/postgres belongs to the user $owner: start as that user (root if it is postgres), or remove var/ to begin anew"
    as_cluster_owner test -x "$cluster_home" ||
        die "the user $cluster_owner cannot enter $cluster_home: make the directories above it accessible, or move the clone back"
}

# The programs must be of the version that made the data.
cluster_find_programs() {
    cluster_bin=$(postgres_bin)
    [[ -f $cluster_home/data/PG_VERSION ]] || return 0
    local version
    version=$(<"$cluster_home/data/PG_VERSION")
    [[ -x /usr/lib/postgresql/$version/bin/postgres ]] ||
        die "the data in var/postgres needs PostgreSQL $version, which is not installed (postgresql-$version)"
    cluster_bin=/usr/lib/postgresql/$version/bin
}

# Made beside its place and moved there when complete: a start that was killed in the middle leaves no half of a
# cluster.
cluster_create() {
    say "making a PostgreSQL cluster in var/postgres"
    as_cluster_owner rm -rf "$cluster_home/data.new"
    quietly in_cluster initdb -D data.new -U carbond --auth-local=trust --auth-host=reject \
        --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    as_cluster_owner tee -a "$cluster_home/data.new/postgresql.conf" >/dev/null <<<"listen_addresses = ''"
    quietly in_cluster postgres --single -D data.new postgres <<<"CREATE DATABASE carbond"
    as_cluster_owner mv "$cluster_home/data.new" "$cluster_home/data"
}

# A socket's address has room for 107 bytes, and a connection URL gives some characters a meaning of their own:
# where the path does not fit, a short private directory takes its place.
cluster_make_socket() {
    cluster_socket=$cluster_home/socket
    if ((${#cluster_socket} < 85)) && [[ $cluster_socket != *[^a-zA-Z0-9/._-]* ]]; then
        as_cluster_owner mkdir -p -m 700 "$cluster_socket"
    else
        cluster_socket=$(as_cluster_owner mktemp -d /tmp/carbond-XXXXXXXX)
    fi
}

# Only such a directory is removed again: what lies in var/ stays.
is_short_socket() { [[ $1 =~ ^/tmp/carbond-[[:alnum:]]{8}$ ]]; }

# cluster_runs: is the process that postmaster.pid names alive, and ours? After a crash the number may by now
# belong to any other process.
cluster_runs() {
    local pid
    pid=$(head -n 1 "$cluster_home/data/postmaster.pid" 2>/dev/null) && [[ /proc/$pid/cwd -ef $cluster_home/data ]]
}

cluster_has_processes() {
    local process
    for process in /proc/[0-9]*/cwd; do
        [[ ! $process -ef $cluster_home/data ]] || return 0
    done
    return 1
}

# After a crash: the processes that the postmaster left must end first (PostgreSQL would refuse to start beside
# them), and postmaster.pid must go, since PostgreSQL believes it if any process has that number again.
cluster_clear_crash() {
    local lock=$cluster_home/data/postmaster.pid try socket
    [[ -f $lock ]] || return 0
    for ((try = 0; try < 100; try++)); do
        cluster_has_processes || break
        sleep 0.1
    done
    ((try < 100)) || die "processes of a PostgreSQL that crashed still work on $cluster_home/data"
    socket=$(sed -n 5p "$lock")
    ! is_short_socket "$socket" || as_cluster_owner rm -rf "$socket"
    as_cluster_owner rm -f "$lock"
}

# The script that started it may have been killed while it recovered.
cluster_await() {
    local try
    for ((try = 0; try < 600; try++)); do
        in_cluster pg_isready -q -h "$cluster_socket" -p 5432 && return
        sleep 0.1
    done
    return 1
}

cluster_start() {
    if cluster_runs; then
        cluster_socket=$(sed -n 5p "$cluster_home/data/postmaster.pid")
        cluster_await || die "the PostgreSQL that runs already does not answer (more in var/postgres/log)"
        return
    fi
    cluster_clear_crash
    cluster_make_socket
    quietly in_cluster pg_ctl -D data -l log -w -o "-k $cluster_socket -p 5432" start || {
        tail -n 20 "$cluster_home/log" >&2
        die "PostgreSQL does not start (more in var/postgres/log)"
    }
}

# cluster_open: makes the cluster if need be, starts it unless it runs, and sets cluster_url.
cluster_open() {
    cluster_make_home
    cluster_check_owner
    cluster_find_programs
    [[ -d $cluster_home/data ]] || cluster_create
    cluster_start
    cluster_url="postgresql:///carbond?host=$cluster_socket&port=5432&user=carbond"
}

cluster_stop() {
    ! cluster_runs || quietly in_cluster pg_ctl -D data -m fast -w stop
    ! is_short_socket "$cluster_socket" || as_cluster_owner rmdir "$cluster_socket"
}
