# shellcheck shell=bash
# What the scripts of this directory share: sourced by them, never run. It leaves the caller in the root of the clone.

shopt -s inherit_errexit # set -e inside $(...) too
unset CDPATH
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root" || exit

# Debian's own interpreter: another python3 that comes first on PATH would lack the modules that Debian packages.
# shellcheck disable=SC2034  # used by the scripts that source this file
python=/usr/bin/python3

name=script/${0##*/}

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$name" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}
wrong_usage() {
    warn "$* (--help tells the options)"
    exit 2
}

# The comment at the top of a script is its help: one text to keep right.
show_help() { sed -n '2,/^[^#]*$/s/^# \{0,1\}//p' "$0"; }

# quietly COMMAND...: output that nobody needs to read unless the command fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    ((status == 0)) || printf '%s\n' "$output" >&2
    return "$status"
}

# at_exit COMMAND: is run however the script ends, by a signal too.
at_exit() {
    # shellcheck disable=SC2064  # the command is known now
    trap "$1" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# run COMMAND...: beside this script, which waits, so that a signal is acted upon at once. In a session of its own:
# Ctrl-C reaches this script alone, which passes it on once (twice would break off the clean-up of the tests). Bash
# makes what it starts so deaf to Ctrl-C, which tests of it would inherit: env undoes it. Should this script be killed,
# the command is asked to end all the same.
running= # the process of the command that is under way
run() {
    local status=0
    setsid env --default-signal=INT,QUIT setpriv --pdeathsig TERM "$@" </dev/null &
    running=$!
    wait "$running" || status=$?
    running=
    return "$status"
}

# A command that is under way puts away what it has started.
stop_running() {
    trap '' INT TERM HUP
    [[ -n $running ]] || return 0
    kill -TERM "$running" 2>/dev/null || true
    wait "$running" || true
}

# The directory of the newest PostgreSQL's programs, which Debian keeps off PATH; fails if there is no server.
postgres_bin() {
    local initdb
    initdb=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
    [[ -x $initdb ]] && printf '%s\n' "${initdb%/initdb}"
}

# files PATTERN...: the clone's own files that match, tracked or new, never ignored ones.
# A copy of the sources without git's data is searched as it is. safe.directory: root may look at a user's clone.
files() {
    if git -c safe.directory="$root" rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory="$root" ls-files --cached --others --exclude-standard --deduplicate -- "$@" |
            while IFS= read -r file; do [[ ! -f $file ]] || printf '%s\n' "$file"; done
    else
        local pattern
        for pattern in "$@"; do
            find . \( -path ./build -o -path ./var -o -path ./.git \) -prune -o -type f -path "./$pattern" -printf '%P\n'
        done
    fi
}
