#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# 72 channels of one guest, all open in one process there and in vchan-backend here, all connected
# at once. xenstored lets a guest have 128 watches, of which that process needs two, and 1000 nodes,
# of which each channel needs some.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"

count=72
names=$(for i in $(seq $count); do echo "c$i"; done)
# The command for each channel: it greets, stores what comes back, and ends when told to. It starts
# no process, of which 72 took long.
cat >greet <<SH
#!/bin/sh
cd $PWD || exit
echo "hello \$1"
{ read -r line && echo "\$line"; } >out.\$1
read -r _ <go
exec >&-
while read -r line || [ "\$line" ]; do echo "\$line"; done >>out.\$1
SH
chmod +x greet
mkfifo go
guest_config g3 >g3.cfg
{
    echo 'vchan = ['
    for name in $names; do
        echo "  \"name=$name, ring=1K, connection=exec, user=root, command=exec $PWD/greet $name\","
    done
    echo ']'
} >>g3.cfg
backend_start
xl-vchan create --wait 90 g3.cfg || fail "create"
g3=$(xl domid g3)
guest_wait g3

step "one process in the guest has all of them open, and echoes"
# shellcheck disable=SC2086
guest-exec g3 vchan echo --timeout 300 $names &
echo=$!
all_said()
{
    for name in $names; do
        [ -s "out.$name" ] || return
    done
}
# each has a process here, which the emulated CPU needs up to a second for
wait_for 320 "not every channel answered" all_said 2>/dev/null
same "channels that are up" "$(xl-vchan list g3 | grep -c ' Connected/Connected ')" $count

step "each got back what it sent, and ends in order"
exec 8<>go
for name in $names; do
    echo >&8
done
wait $echo || fail "vchan echo: $?"
step "unplugged"
for name in $names; do
    echo "out.$name:hello $name"
done | sort >want
grep '' out.* | sort >got
cmp -s want got || fail "what came back: $(diff want got)"
guest_config g3 >g3.cfg
echo 'vchan = [ ]' >>g3.cfg
xl-vchan apply --wait 90 g3.cfg >/dev/null || fail "apply"
same "channels" "$(xl-vchan list g3 | wc -l)" 1
guest_destroy g3
backend_stop
