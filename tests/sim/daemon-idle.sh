#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan daemon does nothing while nothing happens, even if a device that it waited for is gone or
# replaced.
. "$(dirname "$0")/../lib/sim-lib.bash"

export PVCHAN_STATE_DIR=$work/state

# told TEXT: the daemon logs it.
told() {
    local deadline=$((SECONDS + 60))
    until grep -qF -e "$1" "$work/log"; do
        [ $SECONDS -lt $deadline ] || { fail "no \"$1\" in: $(cat "$work/log")"; return; }
        pause
    done
}
# asked DIR: the daemon has asked the backend to close this device.
asked() { [ "$(xenstore-read "$1/online")" = 0 ]; }

backend_start
mkdir "$work/none"
LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/requests.so REQUESTS=$work/requests \
    xl-vchan daemon --config-dir "$work/none" 2> "$work/log" &
daemon=$!
for name in first second third; do domain $name "name=db, connection=echo"; done
first=$(xl domid first) second=$(xl domid second) third=$(xl domid third)
B=/local/domain/0/backend/vchan
kill -KILL "$backend"
backend_end 137

part "an administrator removes what the daemon waits for"
run 0 xl destroy first
within 60 asked $B/$first/0
xenstore-rm $B/$first

part "another device takes the place of what the daemon waits for"
xenstore-write $B/$third/5/state 4 $B/$third/5/name x
run 0 xl create -q "$work/first.cfg" # an event: the daemon looks
within 60 asked $B/$third/5
run 0 xl-vchan attach third name=app,devid=5

part "the daemon's time for both is over: it was for another one that it began to wait for later"
run 0 xl destroy second
within 60 asked $B/$second/0
told "$second: channel \"db\": removed: its domain is gone"
run 0 xl create -q "$work/second.cfg"
run 0 xl destroy second
kill "$daemon"
wait "$daemon" || fail "daemon: exit code $?: $(cat "$work/log")"
requests=$(cat "$work/requests")
echo "$requests requests"
[ "$requests" -lt 1500 ] || fail "$requests requests to xenstore: it looked again and again"

run 0 xl-vchan detach --force third app
run 0 xl-vchan detach --force third db
run 0 xl destroy first
run 0 xl destroy third
xenstore-rm /local/domain/0/data
finish
