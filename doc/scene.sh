#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A small host with channels of all kinds at work, in xensim, for the pictures in doc/ and man/:
#   xensim run -- doc/scene.sh COMMAND...      COMMAND sees it all
set -eu
dir=$(mktemp -d)
. "$(dirname "$0")/../tests/lib/pause.bash"
end() {
    local domain
    for domain in web mail db logger; do xl destroy $domain || true; done
    xl-vchan watch --timeout 20 --until gone > /dev/null # the daemon removes what is left
    jobs -p | xargs -r kill 2> /dev/null
    wait
    rm -rf "$dir"
}
trap end EXIT

domain() {
    local name=$1 entries=()
    shift
    [ $# = 0 ] || printf -v entries '"%s",' "$@"
    printf 'name = "%s"\nmemory = 64\nkernel = "/none"\nvchan = [ %s ]\n' "$name" "${entries[*]}" > "$dir/$name.cfg"
    xl-vchan create -q "$dir/$name.cfg"
}
program() { xensim exec "$@" <&0 > /dev/null 2>&1 & }
# flow BYTES: so many a second, in ten parts.
flow() {
    while :; do
        head -c $(($1 / 10)) /dev/zero
        pause 0.1
    done
}

vchan-backend 2> "$dir/log" &
xl-vchan daemon --config-dir "$dir" 2> /dev/null &
socat -u "UNIX-LISTEN:$dir/postgresql,fork" OPEN:/dev/null &
until [ -S "$dir/postgresql" ]; do pause 0.05; done

domain logger
program logger vchan-backend
log="name=org.example.log, backend=logger, write-ring=1M, connection=exec, user=$(id -un), command=cat > /dev/null"
domain db "$log"
domain web "name=org.example.db, connection=connect, path=$dir/postgresql" \
    "name=org.example.time, connection=exec, user=$(id -un), command=date" \
    "name=org.example.cache, connection=connect, path=/run/cache.sock" "$log"
domain mail "$log" "name=org.example.echo, connection=echo" "name=org.example.queue"

program web vchan cat org.example.db < <(flow 300000)
program web vchan cat org.example.log < <(flow 20000)
program db vchan cat org.example.log < <(flow 2000)
program mail vchan cat org.example.echo < <(flow 1000000)
program web vchan cat org.example.cache < <(exec tail -f /dev/null)
for channel in "web org.example.db" "web org.example.log" "db org.example.log" "mail org.example.echo"; do
    xl-vchan wait --timeout 30 $channel
done
xl-vchan wait --timeout 30 web org.example.cache Closed
"$@"
