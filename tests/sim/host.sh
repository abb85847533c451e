#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The simulated host as a user sees it: xl, xensim exec, domains' own views, xenstore's rules.
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

bin=/usr/lib/xen-4.17/bin

config() { cat > "$work/$1.cfg"; }
lines() { test "$("${@:2}" | wc -l)" = "$1"; }
is() { [ "$1" = "$2" ] || fail "\"$1\" is not \"$2\""; }
refused() { ! "$@" > "$work/refused" 2>&1; }
state_of() { xl list "$1" | awk 'END { print $5 }'; }

part "xl create, as the real one"
guest one
one=$domid
config one <<< 'name = "one"'
before=$(xenstore-ls -fp)
exits 3 xl create "$work/one.cfg" 2> "$work/err"
grep -q 'Domain with name "one" already exists' "$work/err"
config bad <<< 'memory = 64'
exits 1 xl create "$work/bad.cfg" 2> "$work/err"
grep -qx 'Domain name must be specified.' "$work/err"
config bad <<< 'name = "bad" memory'
exits 1 xl create "$work/bad.cfg" 2> "$work/err"
grep -q 'syntax error' "$work/err"
exits 3 xl create "$work/none.cfg" 2> "$work/err"
exits 2 xl create 2> "$work/err"
config bad <<< 'name = "bad"; on_poweroff = "rename-restart"'
exits 1 xl create "$work/bad.cfg" 2> "$work/err"
is "$(xenstore-ls -fp)" "$before"
lines 3 xl list

part "what libxl makes"
is "$(xenstore-ls -p "/local/domain/$one" |
    sed -nE 's/^(data|device|name|control) .*\((.*)\)/\1 \2/p' | sort | tr '\n' ' ')" \
    "control n0,r$one data n$one device n0,r$one name n0,r$one "
is "$(xenstore-read "$(xenstore-read "/local/domain/$one/vm")/name")" one
is "$(xl domid one) $(xl domname "$one")" "$one one"
xl uptime one > "$work/out"
xl rename one uno
is "$(xensim exec uno xenstore-read name)" uno
xl rename uno one

part "programs of domains"
config two << 'END'
name = "two"
on_reboot = "restart"
xensim = "trap 'echo bye; exit' TERM; echo up $PPID; while :; do sleep 0.05; done"
END
xl create -pq "$work/two.cfg"
two=$(xl domid two)
is "$(state_of two)" --p---
exits 125 xensim exec two true 2> "$work/err"
grep -q 'does not run' "$work/err"
xl unpause two
within 30 grep -qx 'up 1' "$XENSIM_DIR/console-two.log"
xl pause two
is "$(state_of two)" --p---
xl unpause two
exec {events}< <(exec xenstore-watch @releaseDomain)
read -rt 30 -u "$events"
xl reboot two > "$work/out"
again() { [ "$(xl domid two)" != "$two" ] && xl domid two; }
within 30 again
twice() { [ "$(grep -cx 'up 1' "$XENSIM_DIR/console-two.log")" = 2 ]; }
within 30 twice
grep -qx bye "$XENSIM_DIR/console-two.log"
read -rt 30 -u "$events" || fail "no @releaseDomain"
exec {events}<&-
xl shutdown -w two > "$work/out"
within 30 refused xl domid two
config three << 'END'
name = "three"
xensim = "exit 3"
on_poweroff = "preserve"
END
xl create -q "$work/three.cfg"
preserved() { [ "$(state_of three)" = ---s-- ]; }
within 30 preserved
exits 125 xensim exec three true 2> "$work/err"
xl destroy three
config three << END
name = "three"
xensim = "pwd > $work/pwd; echo \$TESTED > $work/environment"
END
(cd "$work" && TESTED=yes xl create -q three.cfg)
within 30 refused xl domid three
is "$(cat "$work/pwd" "$work/environment")" "$work"$'\n'yes

part "xensim exec"
exits 7 xensim exec one sh -c 'exit 7'
exits 127 xensim exec one no-such-program 2> "$work/err"
# shellcheck disable=SC2016
exits 143 xensim exec one sh -c 'kill -TERM $$'
exits 125 xensim exec nobody true 2> "$work/err"
is "$(echo in | xensim exec one sh -c 'cat; echo err >&2' 2>&1)" in$'\n'err
is "$(xensim exec "$one" xensim exec 0 xenstore-read name)" Domain-0
is "$(cd "$work" && xensim exec one pwd)" "$work"
xensim exec one sh -c 'trap "echo got it; exit 4" USR1; echo up; while :; do sleep 0.05; done' \
    > "$work/out" &
pid=$!
within 30 grep -q up "$work/out"
kill -USR1 $pid
exits 4 wait $pid
grep -q 'got it' "$work/out"
xensim exec one sleep 1234 &
pid=$!
within 30 xensim exec one pgrep -fx 'sleep 1234'
kill -KILL $pid
exits 137 wait $pid 2> "$work/err"
within 30 refused xensim exec one pgrep -fx 'sleep 1234'

part "a signal is not lost, however early it comes"
for i in {1..60}; do
    exits 124 timeout -k 20 "$(printf '0.%04d' $((5 * i)))" xensim exec one sleep 1234
done
refused xensim exec one pgrep -fx 'sleep 1234'

part "a domain's own view"
is "$(xensim exec one sh -c 'touch /run/pvchan/x; ls /run/xensim' | tr '\n' ' ')" "dev hypervisor "
refused test -e /run/pvchan/x
refused xensim exec one xl list
refused xensim exec one "$bin/lsevtchn"
guest other
refused xensim exec other test -e /run/pvchan/x
refused xensim exec one xenstore-ls /libxl
refused xensim exec one xenstore-write name x
refused xensim exec one xenstore-write "/local/domain/$domid/data/x" 1
refused xensim exec one xenstore-read "/local/domain/$domid/data"
xensim exec one xenstore-write data/x 1
is "$(xensim exec one xenstore-read "/local/domain/$one/data/x")" 1
refused xensim exec one pgrep -x xenstored
xl destroy other

part "quotas"
# shellcheck disable=SC2016
refused xensim exec one sh -c 'for i in $(seq 1100); do xenstore-write data/n/$i x || exit 1; done'
xensim exec one xenstore-rm data/n
refused xensim exec one xenstore-write data/big "$(printf '%2100s' x)"
xensim exec one xenstore-write data/big "$(printf '%2000s' x)"
xensim exec one xenstore-rm data/big data/x
# shellcheck disable=SC2016
refused xensim exec one sh -c 'xenstore-watch $(for i in $(seq 140); do echo data/w$i; done)'

part "watches of the dead are gone"
# shellcheck disable=SC2016
xensim exec one sh -c 'for i in $(seq 40); do
    timeout -s KILL 0.02 xenstore-watch data data/a data/b data/c; done; true' > "$work/out" 2>&1
is "$(xensim exec one sh -c 'timeout 30 xenstore-watch -n 1 data')" data

part "the real tools"
"$bin/lsevtchn" 0 | grep -q "Interdomain (Connected) - Remote Domain $one"
xl info > "$work/out" 2> "$work/err" || true
grep -q '^nr_cpus' "$work/out"

part "real libxenvchan, plain, and under memory checkers"
peer=$builddir/tests/programs/sim-peer
vchan() { # SERVER CLIENT LEFT RIGHT PROGRAM…
    xensim exec "$1" "${@:5}" server "$2" data/v "$3" "$4" echo &
    local server=$!
    is "$(xensim exec "$2" "${@:5}" client "$1" "/local/domain/$1/data/v" 0 0 send 300000)" 300000
    wait $server
}
vchan "$one" 0 1024 2048 "$peer"
vchan 0 "$one" 4096 65536 "$peer"
guest two
vchan "$one" "$domid" 1048576 8192 "$peer"
vchan "$one" "$domid" 4096 4096 "$peer-asan"
if command -v valgrind > /dev/null; then
    vchan "$one" "$domid" 4096 4096 valgrind -q --error-exitcode=9 "$peer"
fi
xenstore-rm /local/domain/0/data

part "death of a domain in use"
xensim exec "$one" "$peer" server "$domid" data/v 4096 4096 idle > "$work/out" &
server=$!
xensim exec "$domid" "$peer" client "$one" "/local/domain/$one/data/v" 0 0 idle > "$work/up" &
client=$!
within 30 grep -q up "$work/up"
xl destroy "$one"
exits 137 wait $server
xl list | grep -q "(null) *$one " || fail "no zombie: $(xl list)"
exits 1 xensim leaks 2> "$work/err"
grep -q "leak: domain $one (one) is a zombie" "$work/err"
kill -KILL $client
exits 137 wait $client 2> "$work/err"
xensim leaks
refused grep -q null <(xl list)
xl destroy two
