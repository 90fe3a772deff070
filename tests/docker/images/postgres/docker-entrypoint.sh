#!/bin/bash
# What the entry point of the image `postgres` does, as far as others rely on it: see that image's documentation. As root it
# hands its directories to the user postgres and goes on as that user; an empty PGDATA becomes a cluster with the password
# of POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, which is not reachable by TCP before all is done.
set -euo pipefail

# from_file NAME: NAME itself, or what the file holds that NAME_FILE names.
from_file() {
    local file=${1}_FILE
    if [[ -n ${!file:-} ]]; then printf '%s' "$(<"${!file}")"; else printf '%s' "${!1:-}"; fi
}

initialize() {
    local password
    password=$(from_file POSTGRES_PASSWORD)
    [[ -n $password ]] || {
        echo "neither POSTGRES_PASSWORD nor POSTGRES_PASSWORD_FILE tells a password" >&2
        exit 1
    }
    # shellcheck disable=SC2086  # several options
    initdb --username="$user" --pwfile=<(echo "$password") --auth-local=trust --auth-host=scram-sha-256 \
        ${POSTGRES_INITDB_ARGS:-}
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    [[ $database == postgres ]] || createdb --username="$user" --maintenance-db=postgres "$database"
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) "$file" ;;
        *.sql) psql -v ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$file" ;;
        esac
    done
    pg_ctl --wait --mode=fast stop
}

if ((EUID == 0)); then
    install -d -m 700 -o postgres -g postgres "$PGDATA"
    install -d -m 2775 -o postgres -g postgres /var/run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
user=$(from_file POSTGRES_USER)
user=${user:-postgres}
database=${POSTGRES_DB:-$user}
[[ $1 != postgres || -s $PGDATA/PG_VERSION ]] || initialize
exec "$@" -c listen_addresses='*'
