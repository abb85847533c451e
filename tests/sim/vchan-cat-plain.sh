#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan cat and vchan echo for plain vchans, in both roles.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

domain server
domain client
server=$(xl domid server) client=$(xl domid client)
path=/local/domain/$server/data/test
head -c 64M /dev/urandom > "$work/up"
head -c 67108865 /dev/urandom > "$work/down"

# pair SERVER-OPTIONS… -- CLIENT-OPTIONS…: runs both ends, with up and down, to their ends.
pair() {
    local options=() pid
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    in_domain server vchan cat "${options[@]}" --server "$client" data/test \
        < "$work/down" > "$work/server" &
    pid=$!
    in_domain client vchan cat "$@" --client "$server" "$path" < "$work/up" > "$work/client" ||
        fail "client: exit code $?"
    wait "$pid" || fail "server: exit code $?"
    same "$work/up" "$work/server"
    same "$work/down" "$work/client"
}

part "64 MiB both ways"
pair -- -t 10
pair --read-ring 1K --write-ring 1M -- -t 10
pair --read-ring 1M --write-ring 1 -t 10 --

part "echo serves one after the other"
in_domain server vchan echo --server "$client" data/test &
echo=$!
for text in one two three; do
    run 0 xensim exec client vchan cat --timeout 60 --client "$server" "$path" <<< "$text"
    says "$text"
done
in_domain server sh -c 'kill $(pidof vchan)'
wait "$echo" || fail "vchan echo: exit code $?"
[ -z "$(xenstore-ls "$path" 2> /dev/null)" ] || fail "keys are left: $(xenstore-ls "$path")"
in_domain server vchan echo --once --server "$client" data/test &
run 0 xensim exec client vchan cat --client "$server" "$path" <<< once
says once
wait $! || fail "vchan echo --once: exit code $?"

part "the directories that a server made go with it, others stay"
# offer DOMAIN PATH: offers a server there briefly; no client comes.
offer() { run 4 xensim exec "$1" vchan cat --timeout 0.1 --server "$client" "$2" < /dev/null; }
run 1 xenstore-read "$path"
offer server data/a/b
run 1 xenstore-read "/local/domain/$server/data/a"
xenstore-read "/local/domain/$server/data" > /dev/null || fail "the domain's data is gone"
xenstore-write "/local/domain/$server/data/a" "" "/local/domain/$server/data/c/d/other" 1
offer server data/a/b
xenstore-read "/local/domain/$server/data/a" > /dev/null || fail "what was there before is gone"
offer server data/c/d
xenstore-read "/local/domain/$server/data/c/d/other" > /dev/null || fail "another's key is gone"
run 1 xenstore-read /local/domain/0/data
for path0 in data/x /local/domain/0/data/x; do
    run 4 vchan cat --timeout 0.1 --server "$client" $path0 < /dev/null
    run 1 xenstore-read /local/domain/0/data
done

part "what was written before the close is read"
in_domain server vchan cat -t 0 --server "$client" data/test <<< last &
mkfifo "$work/open"
exec {open}<> "$work/open"
run 0 xensim exec client vchan cat --client "$server" "$path" <&"$open"
says last
exec {open}>&-
wait $! || fail "server: exit code $?"

# server_cat OPTION…: starts a server, $server_pid, with its input at $slow.
server_cat() {
    in_domain server vchan cat "$@" --server "$client" data/test < "$work/slow" &
    server_pid=$!
    exec {slow}> "$work/slow"
}
mkfifo "$work/slow"

part "an answer that takes longer than 0.5 seconds is waited for"
server_cat -t 0
in_domain client vchan cat --client "$server" "$path" <<< question > "$work/out" &
reader=$!
pause 1.5 # what the server takes for its answer
echo answer >&"$slow"
exec {slow}>&-
exits 0 wait "$reader"
[ "$(cat "$work/out")" = answer ] || fail "got: $(cat "$work/out")"
exits 0 wait "$server_pid"

part "a peer that never answers is reported, unless --linger says how long"
server_cat -t 0
run 0 xensim exec client vchan cat --client "$server" "$path" <<< question
complains "vchan: no answer within 10 seconds after the end of input (see --linger)"
exec {slow}>&-
wait "$server_pid"
server_cat -t 0
run 0 xensim exec client vchan cat --linger 0.1 --client "$server" "$path" <<< question
complains ""
exec {slow}>&-
wait "$server_pid"

part "a silent peer is waited for as long as --linger says"
server_cat -t 0
rm "$work/out"
in_domain client vchan cat --linger inf --client "$server" "$path" {slow}>&- < /dev/null > "$work/out" &
reader=$!
echo answer >&"$slow"
until [ -s "$work/out" ]; do kill -0 "$reader" || break; pause; done
[ "$(cat "$work/out")" = answer ] || fail "got: $(cat "$work/out")"
exec {slow}>&-
wait "$reader" || fail "client: exit code $?"

run 0 xl destroy server
run 0 xl destroy client
finish
