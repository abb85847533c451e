#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# One direction has ended when vchan-backend is killed or reloads: the other continues to its last
# byte, and then ends cleanly. For each kind of connection with two directions, whichever side ends
# first.
set -u
limit=900
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# plug KIND FIRST TAKES: attaches a channel of that kind, with a program at its connection ($plug,
# unless it is a command). The program takes what comes as TAKES says, and sends $work/data: at
# once, or, if the guest is the FIRST to end, when told to.
plug() {
    local takes="$3 > $work/got" sends="cat $work/data"
    [ "$2" = peer ] || sends="read -r x < $work/go; $sends"
    if [ "$1 $2" = "exec guest" ]; then
        run 0 xl-vchan attach guest "name=channel, connection=exec, user=root, command=$takes; $sends"
    elif [ "$1" = exec ]; then
        run 0 xl-vchan attach guest "name=channel, connection=exec, user=root, command=$sends; exec >&-; $takes"
    else
        plug_socket "$1" "$sends" "$takes"
    fi
}
plug_socket() {
    local address=TCP-LISTEN:7001,bind=127.0.0.1,reuseaddr keys="path=$work/path"
    case $1 in
    socket) address=UNIX-CONNECT:$work/path,retry=300,interval=0.1 ;;
    connect) address=UNIX-LISTEN:$work/path ;;
    tcp) keys="address=127.0.0.1:7001" ;;
    esac
    sh -c "$2" | socat -t 60 - "$address" | sh -c "$3" &
    plug=$!
    [ "$1" = connect ] && within 30 test -S "$work/path"
    [ "$1" = tcp ] && within 30 grep -q ":1B59 00000000:0000 0A" /proc/net/tcp
    run 0 xl-vchan attach guest "name=channel, connection=$1, reconnect=0, $keys"
}
unplug() {
    [ -z "$plug" ] || wait "$plug" || fail "what it was plugged into ended with $?"
    run 0 xl-vchan detach guest channel
    rm -f "$work/path" "$work/got" "$work/back"
    plug=
}

# opens: a program of the guest ($program); what it must send goes to $input, what it gets to
# $work/back.
opens() {
    rm -f "$work/in"
    mkfifo "$work/in"
    in_domain guest vchan cat channel < "$work/in" > "$work/back" 2> "$work/said" &
    program=$!
    exec {input}> "$work/in"
    devid=$(xenstore-list "/local/domain/$guest/device/vchan")
}
# closes: it ends cleanly, having received everything.
closes() {
    wait "$program" || fail "vchan cat ended with $?: $(cat "$work/said")"
    exec {input}>&-
    same "$work/data" "$work/back"
}
holds() { [ "$(wc -c < "$1")" = "$2" ]; }

# renew kill|hangup: another process takes over.
renew() {
    case $1 in
    kill)
        within 60 pgrep -P "$manager" -x vchan-backend # the previous one may just have been killed
        kill -9 "$(pgrep -P "$manager" -x vchan-backend)" || fail "no service is there to be killed"
        ;;
    hangup) kill -HUP "$manager" || fail "the manager has gone" ;;
    esac
}

# This much fits into rings and pipes, so that nothing waits for the connection to take it.
head -c 150000 /dev/urandom > "$work/data"
mkfifo "$work/go" "$work/take"
plug=
manager_start 0 0
domain guest
guest=$(xl domid guest)

for kind in exec socket connect tcp; do
    for how in kill hangup; do
        part "$kind, $how: the guest has ended its sending"
        plug $kind guest cat
        opens
        cat "$work/data" >&"$input"
        exec {input}>&-
        within 30 holds "$work/got" 150000
        state "/local/domain/$guest/device/vchan/$devid" 5
        renew $how
        echo > "$work/go"
        closes
        unplug

        part "$kind, $how: the same, and not all of it is delivered"
        plug $kind guest "read -r x < $work/take; cat"
        opens
        cat "$work/data" >&"$input"
        exec {input}>&-
        renew $how
        echo > "$work/take"
        within 30 holds "$work/got" 150000
        renew $how
        echo > "$work/go"
        closes
        unplug

        part "$kind, $how: the connection has ended its sending"
        plug $kind peer cat
        opens
        head -c 100000 "$work/data" >&"$input"
        within 30 holds "$work/back" 150000
        state "/local/domain/0/backend/vchan/$guest/$devid" 5
        renew $how
        tail -c 50000 "$work/data" >&"$input"
        within 30 holds "$work/got" 150000
        renew $how
        exec {input}>&-
        closes
        same "$work/data" "$work/got"
        unplug
    done
done

manager_end
run 0 xensim leaks
[ -z "$err" ] || fail "leaks: $err"
run 0 xl destroy guest
finish
