# SPDX-License-Identifier: LGPL-2.1-or-later
# The machine under a scenario script (lab/tests/), for xensim. lab/on-xen.sh offers the same for
# real Xen; scripts do not know which one they got. Runs the script in a simulated host of its own,
# with the two guests g1 and g2 that the lab also has.
if [ -z "${XENSIM_DIR:-}" ]; then
    exec timeout "${TEST_SECONDS:-900}" xensim run -- sh "$0"
fi
PATH=$builddir/tests/programs:$builddir/lab:$PATH
. "$srcdir/lab/vocabulary.sh"

guest_config()
{
    printf 'name = "%s"\nmemory = 64\nkernel = "/boot/vmlinuz"\n' "$1"
}

nap()
{
    sleep "0.$1"
}

guest_wait()
{
    wait_for 90 "domain $1 does not run" guest-exec "$1" true
}

guest_destroy()
{
    xl destroy "$1"
}

host_can()
{
    return 1
}

end()
{
    _code=$?
    xl destroy g1
    xl destroy g2
    rm -rf "$scratch"
    exit $_code
}

scratch=$(mktemp -d)
cd "$scratch" || exit 1
trap end EXIT
# Debian's one in /usr/bin is a script that asks the kernel which Xen runs.
mkdir bin
ln -s /usr/lib/xen-4.17/bin/vchan-socket-proxy bin/
printf '#!/bin/sh\nexec xensim exec "$@"\n' >bin/guest-exec
chmod +x bin/guest-exec
PATH=$PWD/bin:$PATH
for _name in g1 g2; do
    guest_config $_name >$_name.cfg
    xl create $_name.cfg >/dev/null || fail "xl create $_name"
done
