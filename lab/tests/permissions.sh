#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Permissions: what the two domains of a channel may do, and a third.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

backend_start
xl-vchan attach --wait 90 g1 name=secret connection=exec user=root command="cat; : $PWD/private" || fail "attach"
g1=$(xl domid g1)
front=/local/domain/$g1/device/vchan/0
back=/local/domain/0/backend/vchan/$g1/0

step "the frontend's domain reads its own nodes, and what it needs of the backend's"
same "name" "$(guest-exec g1 xenstore-read device/vchan/0/name)" secret
guest-exec g1 xenstore-read $back/state >/dev/null || fail "g1 cannot read $back/state"

# allowed DOM COMMAND…: prints those of the commands that succeed there, then "no more". One session
# for all, since each takes a second.
allowed()
{
    _dom=$1
    shift
    guest-exec "$_dom" sh -c 'for command; do $command >/dev/null 2>&1 && echo "$command"; done
        echo "no more"' sh "$@"
}

step "it owns what it writes, and no more: that is all that counts to its quota of nodes"
set --
reads=
for node in name backend backend-id read-ring write-ring; do
    node=device/vchan/0/$node
    set -- "$@" "xenstore-read $node" "xenstore-write $node 1" "xenstore-rm $node"
    reads="${reads}xenstore-read $node$_newline"
done
same "what g1 may do with the toolstack's nodes" "$(allowed g1 "$@")" "${reads}no more"
same "its nodes" "$(xenstore-ls -fp /local/domain/$g1/device/vchan | grep "(n$g1," | sed 's/ .*//' | tr '\n' ' ')" \
    "$front $front/state "

step "not the connection's details, and no writing to the backend"
set -- "xenstore-read $back/private/command" "xenstore-ls $back/private" "xenstore-ls /libxl/$g1"
for node in state online frontend-id private/command; do
    set -- "$@" "xenstore-write $back/$node 1"
done
same "what g1 may do with them" "$(allowed g1 "$@")" "no more"

step "a third domain sees neither side"
set -- "xenstore-ls $front" "xenstore-write $front/state 4"
for node in $front $front/name $front/ring-ref $back $back/state $back/private/command; do
    set -- "$@" "xenstore-read $node"
done
same "what g2 may do with them" "$(allowed g2 "$@")" "no more"

step "a third domain cannot open the channel, even if it is told the numbers"
hold_open g1 secret
fails "by its path" guest-exec g2 vchan cat --timeout 1 --client "$g1" $front
guest-exec g2 xenstore-write data/stolen/ring-ref "$(xenstore-read $front/ring-ref)" \
    data/stolen/event-channel "$(xenstore-read $front/event-channel)"
fails "with its numbers" guest-exec g2 vchan cat --timeout 1 --client "$g1" \
    "/local/domain/$(xl domid g2)/data/stolen"
guest-exec g2 xenstore-rm data/stolen
state_is g1 secret Connected/Connected || fail "the theft disturbed it: $(xl-vchan list g1)"

step "a frontend that lies about its numbers harms only itself"
hold_end || fail "vchan cat: $?: $(cat holder.out)"
xl-vchan attach --wait 90 g2 name=echo connection=echo || fail "attach"
# It starts over first: the states of before would be those of a refusal, too.
guest-exec g1 xenstore-write device/vchan/0/state 1
wait_for 90 "the backend does not wait again" states_are g1 secret Initialising/InitWait
guest-exec g1 xenstore-write device/vchan/0/ring-ref 999999 device/vchan/0/event-channel 77 \
    device/vchan/0/state 3
wait_for 90 "the backend has not refused" states_are g1 secret Initialised/Closed
same "g2's echo" "$(echo hello | guest-exec g2 vchan cat --timeout 90 echo)" hello
xl-vchan detach --wait 90 g1 secret || fail "detach"
xl-vchan detach --wait 90 g2 echo || fail "detach"
backend_stop
