# Starts a throwaway Postgres cluster that syncs, says "ready <folder>", and removes it at the end of its input.
# $1: the folder of Postgres' programs, $2: where, $3: the port
trap '' INT TERM HUP PIPE
umask 077
folder=$(mktemp -d "$2/everlog-bench-postgres.XXXXXX") || exit 1
end() {
    "$1/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$folder"
}
options="-k $folder -p $3 -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=1GB"
if ! "$1/initdb" -D "$folder/data" -U postgres --auth=trust -E UTF8 --locale=C >"$folder/said" 2>&1 ||
    ! "$1/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "$options" start >>"$folder/said" 2>&1
then
    cat "$folder/said" "$folder/log" 2>&1
    end "$1"
    exit 1
fi
echo "ready $folder"
exec >/dev/null 2>&1
cat >/dev/null
end "$1"
