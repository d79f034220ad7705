# Starts a throwaway Postgres cluster, says "ready <folder>", and removes it at the end of its input.
# $1: the folder of Postgres' programs
trap '' INT TERM HUP PIPE
umask 077
folder=$(mktemp -d /tmp/everlog-postgres.XXXXXX) || exit 1
end() {
    "$1/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$folder"
}
options="-k $folder -c listen_addresses='' -c max_connections=300 -c shared_buffers=64MB"
if ! "$1/initdb" -D "$folder/data" -U postgres --auth=trust -E UTF8 --locale=C --no-sync \
    >"$folder/said" 2>&1 ||
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
