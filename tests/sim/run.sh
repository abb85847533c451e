#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xensim run from outside: exit codes, signals, leaks, and that it leaves nothing behind.
# What is in single quotes runs inside.
# shellcheck disable=SC2016
set -euo pipefail
. "${srcdir:?}/tests/lib/pause.bash"

work=$(mktemp -d)
export work
trap 'rm -rf "$work"' EXIT
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR
printf 'name = "g"\n' > "$work/g.cfg"

fail() {
    echo "FAILED: $*" >&2
    cat "$work/err" >&2
    exit 1
}
exits() {
    local code=$1 got=0
    shift
    "$@" 2> "$work/err" || got=$?
    [ "$got" = "$code" ] || fail "exit code $got instead of $code: $*"
}
says() { grep -qx "xensim: leak: $1" "$work/err" || fail "not said: $1"; }
host() { timeout -k 5 600 xensim run -- sh -c "$1"; }
await() { # FILE: until it says "up"
    local deadline=$((SECONDS + 60))
    until grep -q up "$1"; do
        [ $SECONDS -lt $deadline ] || fail "not up within 60 s"
        pause
    done
}

echo "--- exit codes"
exits 0 xensim run true
exits 5 xensim run -- sh -c 'exit 5'
exits 143 xensim run sh -c 'kill -TERM $$'
exits 127 xensim run no-such-program
exits 2 xensim run
exits 2 xensim frobnicate
exits 125 env XENSIM_DIR="$work" xensim leaks
exits 125 env XENSIM_DIR="$work" xensim exec 0 true

echo "--- leaks, each kind"
exits 99 host 'xenstore-write /foo bar'
says 'xenstore node /foo'
exits 7 host 'xenstore-write /foo bar; exit 7'
exits 0 xensim run --keep-going -- xenstore-write /foo bar
says 'xenstore node /foo'
exits 99 host 'xl create -q $work/g.cfg'
says 'domain 1 (g) still exists'
exits 99 host 'xl create -q $work/g.cfg
    xenstore-write /local/domain/0/backend/vchan/1/0/state 1; xl destroy g'
says 'xenstore node /local/domain/0/backend'
exits 99 host '$builddir/tests/programs/sim-peer server 9 data/v 4096 8192 idle > $work/up &
    until grep -q up $work/up; do sleep 0.05; done'
says 'grant 8 of domain 0 (1 pages) to domain 9, held by sim-peer'
says 'grant 9 of domain 0 (1 pages) to domain 9, held by sim-peer'
says 'grant 10 of domain 0 (2 pages) to domain 9, held by sim-peer'
says 'event channel handle in domain 0, held by sim-peer'
says 'event channel [0-9]* of domain 0 (peer: domain 9), held by sim-peer'
says 'xenstore node /local/domain/0/data'
: > "$work/up"
exits 99 host 'xl create -q $work/g.cfg
    xensim exec g $builddir/tests/programs/sim-peer server 0 data/v 4096 8192 idle &
    $builddir/tests/programs/sim-peer client 1 /local/domain/1/data/v 0 0 idle > $work/up &
    until grep -q up $work/up; do sleep 0.05; done; xl destroy g'
says 'domain 1 (g) is a zombie: its pages are still mapped'
says 'mapping of 1 pages of domain 1 in domain 0, held by sim-peer'

echo "--- in the middle, only what belongs to the dead counts"
exits 0 host 'xl create -q $work/g.cfg
    xenstore-write /foo 1 /local/domain/0/backend/vchan/1/0/x 1
    xensim leaks || exit 1
    xenstore-write /local/domain/0/backend/vchan/7/0/x 1
    xensim leaks && exit 2
    xenstore-rm /foo; xenstore-rm /local/domain/0/backend; xl destroy g'
says 'xenstore node /local/domain/0/backend/vchan/7'

echo "--- several at once do not meet"
for i in 1 2 3 4; do
    host "xl create -q \$work/g.cfg && [ \$(xl domid g) = 1 ] && xenstore-write /here $i &&
        xensim exec g sleep 0.3 && [ \$(xenstore-read /here) = $i ] &&
        xenstore-rm /here && xl destroy g" &
    hosts[i]=$!
done
for i in 1 2 3 4; do
    wait "${hosts[i]}"
done

echo "--- signals"
: > "$work/up"
xensim run -- sh -c 'trap "echo got it; exit 3" TERM; echo up; while :; do sleep 0.05; done' \
    > "$work/up" &
pid=$!
await "$work/up"
kill -TERM $pid
exits 3 wait $pid
grep -q 'got it' "$work/up"

echo "--- nothing piles up in the hypervisor"
printf 'name = "p"\nxensim = "exec sleep 1000"\n' > "$work/p.cfg"
cat > "$work/rounds" << 'END'
round() { # NAME COMMAND…: a domain with a channel to domain 0, ended by that command
    name=$1
    shift
    xl create -q "$work/$name.cfg"
    id=$(xl domid "$name")
    xensim exec "$id" "$builddir/tests/programs/sim-peer" server 0 data/v 4096 65536 echo &
    "$builddir/tests/programs/sim-peer" client "$id" "/local/domain/$id/data/v" 0 0 send 5000 || exit 1
    wait
    "$@" "$name" && while xl domid "$name"; do sleep 0.05; done
    xensim leaks # which waits until the last of it has gone
}
exec 3>&1 > "$work/out" 2>&1
round g xl destroy
echo first >&3
read -r _
for _ in 1 2 3 4 5 6 7 8; do
    round g xl destroy
    round p xl shutdown -w
done
echo last >&3
read -r _
END
mkfifo "$work/go" "$work/said"
timeout -k 5 600 xensim run -- sh "$work/rounds" < "$work/go" > "$work/said" &
run=$!
exec 8> "$work/go" 9< "$work/said"
held() { # STEP: prints how many descriptors the hypervisor has then
    local line
    read -r line <&9 && [ "$line" = "$1" ] || fail "no $1 step"
    find "/proc/$(pgrep -P "$(pgrep -P $run)")/fd" -type l | wc -l
}
before=$(held first)
echo >&8
after=$(held last)
echo >&8
wait $run
exec 8>&- 9<&-
[ "$before" = "$after" ] || fail "descriptors: $before after one domain, $after after 17"

echo "--- nothing stays"
seen() { cat /proc/self/mountinfo; ls /run; ls -d /tmp/xensim* 2> /dev/null || true; }
before=$(seen)
: > "$work/up"
xensim run -- sh -c 'xl create -q $work/g.cfg; xensim exec g sh -c "echo up; exec sleep 4321"' \
    > "$work/up" &
pid=$!
await "$work/up"
kill -KILL $pid
exits 137 wait $pid
# A killed host takes its processes with it a moment later.
deadline=$((SECONDS + 60))
while pgrep -fx 'sleep 4321' > /dev/null; do
    [ $SECONDS -lt $deadline ] || fail "processes survive"
    pause
done
[ "$(seen)" = "$before" ] || fail "left: $(diff <(echo "$before") <(seen))"

echo "--- without root"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups unshare -U true 2> "$work/err"; then
    chmod 755 "$work"
    exits 0 setpriv --reuid=65534 --regid=65534 --clear-groups xensim run -- sh -c \
        'xl create -q $work/g.cfg && [ "$(xensim exec g xenstore-read name)" = g ] && xl destroy g'
fi
