#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-frontend: channels with a service at both ends carry 64 MiB in both directions at once,
# unchanged, and pass the ends on; 32 of them at once; it needs no more than a guest has.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

head -c 64M /dev/urandom > "$work/up"
head -c 67108865 /dev/urandom > "$work/down"

# client PATH: sends all of up, and stores what comes in out, to the end.
client() {
    timeout 200 socat -t 60 - "UNIX-CONNECT:$1,retry=300,interval=0.1" < "$work/up" > "$work/out" || fail "socat: exit code $?"
}

part "no more than a guest has"
needs=$(ldd "$(command -v vchan-frontend)")
for library in libxenlight libxlutil libxenctrl libxencall libxenguest; do
    [[ $needs != *$library* ]] || fail "it needs $library"
done

backend_start
domain guest "name=in, connection=connect, path=$work/server" \
    "name=out, connection=socket, path=$work/host, reconnect=0, ring=4K" \
    "name=run, ring=1M, connection=exec, user=root, command=cat $work/down & cat > $work/host.out; wait" \
    "name=echo, connection=echo" \
    "name=app" "name=free, connection=echo"

part "exec at both ends"
agent_config "name=run, connection=exec, user=root, command=cat $work/up; exec cat > $work/guest.out"
agent_start guest
hears "2 run: Connected"
hears "2 run: Closed"
agent_stop
same "$work/up" "$work/host.out"
same "$work/down" "$work/guest.out"

part "a client in the guest, a server in domain 0"
listen "$work/server" "$work/down" "$work/host.out"
agent_config "name=in, connection=socket, path=$work/client, reconnect=0"
agent_start guest
hears "0 in: Connected"
client "$work/client"
wait "$listener" || fail "socat: exit code $?"
agent_stop
same "$work/up" "$work/host.out"
same "$work/down" "$work/out"

part "a client in domain 0, a server in the guest: one after the other"
agent_config "name=out, connection=connect, path=$work/guest"
listen "$work/guest" "$work/down" "$work/guest.out"
agent_start guest
for i in 1 2; do
    hears "1 out: Connected"
    client "$work/host"
    wait "$listener" || fail "socat: exit code $?"
    same "$work/up" "$work/guest.out"
    same "$work/down" "$work/out"
    [ $i = 2 ] || listen "$work/guest" "$work/down" "$work/guest.out"
done
agent_stop

part "echo at one end, an application at the other"
agent_config "name=echo, connection=socket, path=$work/loop, reconnect=0" \
    "name=app, connection=echo" "name=other, connection=echo"
agent_start guest
client "$work/loop"
same "$work/up" "$work/out"
timeout 200 vchan cat app < "$work/up" > "$work/out" || fail "vchan cat: exit code $?"
same "$work/up" "$work/out"

part "what it says nothing of is left to applications"
out=$(in_domain guest vchan cat free <<< "mine") || fail "vchan cat: exit code $?"
says mine

detach_all guest
agent_stop

part "SIGTERM with bytes under way: what is in the ring is delivered"
head -c 600K "$work/up" > "$work/bytes"
run 0 xl-vchan attach guest "name=late, ring=1M, connection=exec, user=root, command=cat $work/bytes"
mkfifo "$work/gate"
agent_config "name=late, connection=exec, user=root, command=cat $work/gate; exec cat > $work/late.out"
agent_start guest
B=/local/domain/0/backend/vchan/$(xl domid guest)/$(xl-vchan list guest | awk '/ late /{print $1}')
state "$B" 5 # everything is in the ring
kill "$agent"
hears "stopping: delivering what is left in the rings"
timeout 30 cp /dev/null "$work/gate" || fail "its command does not wait"
agent_end 0
[ "$(sha256sum < "$work/bytes")" = "$(sha256sum < "$work/late.out")" ] ||
    fail "of 614400 bytes $(stat -c %s "$work/late.out") came, or others"
state "$B" 6
run 0 xl-vchan detach guest late
run 0 xl destroy guest

part "32 at once"
head -c 1M /dev/urandom > "$work/up"
entries=() plugs=()
for i in {1..32}; do
    entries+=("name=c$i, ring=4K, connection=echo")
    plugs+=("name=c$i, connection=socket, path=$work/c$i, reconnect=0")
done
domain guest "${entries[@]}"
agent_config "${plugs[@]}"
agent_start guest -q
pids=()
for i in {1..32}; do
    timeout 200 socat -t 60 - "UNIX-CONNECT:$work/c$i,retry=300,interval=0.1" < "$work/up" > "$work/out.$i" &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || fail "socat: exit code $?"
done
for i in {1..32}; do
    same "$work/up" "$work/out.$i"
done
agent_stop
[ -z "$(ls "$work"/c* 2> /dev/null)" ] || fail "sockets are left: $(ls "$work"/c*)"
detach_all guest
run 0 xl destroy guest
backend_stop
finish
