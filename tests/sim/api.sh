#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libpvchan/pvchan.h, promise by promise (tests/api/api.c); and the errors where Xen does not exist
# or may not be used.
limit=1200
strict=yes
. "${srcdir:?}/tests/lib/sim-lib.bash"

api=$builddir/tests/api/api

# opens ERRNO COMMAND…: a program started by COMMAND gets that error from pvchan_open() and
# pvchan_open_server().
opens() {
    local errno=$1 said
    shift
    said=$("$@" "$api" peer <<< $'open app 0\nserver 1 data/api 1 1')
    [ "$said" = "-$errno"$'\n'"-$errno" ] || fail "$said instead of -$errno twice from: $*"
}
no_override=(setpriv "--bounding-set=-dac_override,-dac_read_search")
mkdir -m 0 "$work/closed"
opens 19 env -u LD_PRELOAD                                                  # ENODEV: no evtchn
opens 19 env XENSTORED_PATH="$work/none"                                    # ENODEV: no xenstored
opens 13 "${no_override[@]}" env XENSTORED_PATH="$work/closed/socket"       # EACCES
opens 13 env -u LD_PRELOAD unshare -m sh -c 'mount -t tmpfs none /dev && mkdir /dev/xen &&
    : > /dev/xen/evtchn && chmod 0 /dev/xen/evtchn && exec "$@"' sh "${no_override[@]}"

vchan-backend 2> /dev/null &
service=$!
guest web && export WEB=$domid
guest other && export OTHER=$domid
guest gone && export GONE=$domid
guest far
xl-vchan attach web name=app,devid=0,read-ring=4K,write-ring=8K
xl-vchan attach web name=echo,devid=1,connection=echo
xl-vchan attach web name=refuse,devid=2,connection=connect,path="$work/none"
xl-vchan attach web name=gone,devid=3
xl-vchan attach other name=app,devid=0
xl-vchan attach gone name=app,devid=0
for i in 1 2 3; do
    xl-vchan attach web "name=far$i,devid=1$i,backend=far"
done

"$api"

for name in app echo refuse gone far{1..3}; do
    xl-vchan detach web "$name"
done
xl-vchan detach other app
xenstore-rm data
kill $service
wait $service
xl destroy web
xl destroy other
