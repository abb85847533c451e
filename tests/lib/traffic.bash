# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Counted bytes both ways through a channel of each kind, for tests in which processes are killed:
# sourced after sim-lib.bash, with $limit, how many seconds a program may take. traffic_domain,
# then all_traffic … all_traffic_ends.

# traffic_domain: a domain guest with a channel of each kind.
traffic_domain() {
    domain guest "name=socket, connection=socket, path=$work/socket" \
        "name=connect, connection=connect, path=$work/connect, reconnect=0" \
        "name=echo, connection=echo, ring=4K" \
        "name=exec, connection=exec, user=root, reconnect=0, command={ counted send $work/stop & counted check; wait; } 2> $work/exec.host" \
        "name=pty, connection=pty, path=$work/pty, reconnect=0"
}
# traffic NAME: counted bytes through a channel of the guest, in both directions; the result is in
# $work/NAME.guest
traffic() {
    in_guest "$work/$1.guest" bash -c "counted send $work/stop | vchan cat $1 | counted check" &
    jobs+=($!)
}
# terminal_traffic: likewise over the terminal, whose channel ends when its other end is closed,
# after all that the guest has sent.
terminal_traffic() {
    rm -f "$work/enough" "$work/hold"
    mkfifo "$work/hold"
    in_guest "$work/pty.guest" bash -c "{ counted send $work/stop; cat $work/hold; } |
        vchan cat pty | counted check" &
    jobs+=($!)
    exec {hold}<> "$work/hold"
    timeout "$limit" counted terminal "$work/pty" "$work/stop" "$work/enough" 2> "$work/pty.host" &
    jobs+=($!)
}
terminal_end() {
    await_line "^sent" "$work/pty.guest"
    sed -n 's/^sent //p' "$work/pty.guest" > "$work/enough"
    await_line "^received" "$work/pty.host"
    exec {hold}>&-
}
in_guest() { timeout "$limit" xensim exec guest "${@:2}" 2> "$1"; }
# await_more TEXT COUNT: the log contains TEXT more than COUNT times within 30 seconds.
await_more() {
    local deadline=$((SECONDS + 30))
    until [ "$(grep -c "$1" "$work/backend.log")" -gt "$2" ]; do
        [ $SECONDS -lt $deadline ] || { fail "not in the log again: $1"; return; }
        pause
    done
}
# await_line TEXT FILE: the line is there within 30 seconds.
await_line() {
    local deadline=$((SECONDS + 30))
    until grep -q "$1" "$2"; do
        [ $SECONDS -lt $deadline ] || { fail "no $1 in $2"; return; }
        pause
    done
}
# unusual: prints what the log contains besides what is expected.
unusual() {
    tail -n 3 "$@"
    grep -nvE "(Reconfiguring|Connected|InitWait) \(|frontend |connected: " "$work/backend.log" | tail -n 20
}
# counts FILE…: everything sent arrived, and nothing came twice.
counts() {
    local file sent=0 received=0 lost=0 twice=0 a b c
    for file; do
        [ "$(grep -c '^sent' "$file")" = 1 ] && [ "$(grep -c '^received' "$file")" = 1 ] ||
            { fail "$(unusual "$file")"; return; }
        sent=$((sent + $(sed -n 's/^sent //p' "$file")))
        read -r a b c < <(sed -n 's/^received \([0-9]*\) lost \([0-9]*\) duplicated \([0-9]*\)$/\1 \2 \3/p' "$file")
        received=$((received + ${a:-0})) lost=$((lost + ${b:-0})) twice=$((twice + ${c:-0}))
    done
    echo "sent=$sent received=$received lost=$lost duplicated=$twice"
    [ "$sent $lost $twice" = "$received 0 0" ] ||
        fail "$(unusual "$@")"
}

# all_traffic: through all channels, until $work/stop exists.
all_traffic() {
    rm -f "$work/stop"
    jobs=()
    timeout "$limit" counted listen "$work/connect" "$work/stop" 2> "$work/connect.host" &
    jobs+=($!)
    await_line listens "$work/connect.host"
    for name in socket connect echo exec; do traffic $name; done
    timeout "$limit" counted connect "$work/socket" "$work/stop" 2> "$work/socket.host" &
    jobs+=($!)
    terminal_traffic
    all_connected
}
all_connected() {
    for name in socket connect echo exec pty; do
        run 0 vchan wait --timeout 30 "$(xl domid guest)/$name"
    done
}
all_traffic_ends() {
    touch "$work/stop"
    terminal_end
    for job in "${jobs[@]}"; do wait "$job" || fail "a job: exit code $?"; done
    counts "$work"/{connect,socket,echo,exec,pty}.guest "$work"/{connect,socket,exec,pty}.host
}
