# SPDX-License-Identifier: LGPL-2.1-or-later
# Shared by the echo domain's scenarios. Source it after the vocabulary.

host_can unikernel || skip "no kernel boots here"
console=/var/log/xen/console/guest-echo.log

# echo_config OPTIONS: prints an xl config for the echo domain.
echo_config()
{
    cat <<CFG
name = "echo"
kernel = "/usr/local/lib/pvchan/vchan-echo.elf"
memory = 8
extra = "$1"
CFG
}

# echo_start [xl-vchan]: creates it from ./echo.cfg; sets id and path.
echo_start()
{
    : >$console
    ${1:-xl} create echo.cfg >create.out 2>&1 || fail "create: $(cat create.out)"
    id=$(xl domid echo 2>&1) # a domain that refuses its command line may be gone already
    path=/local/domain/$id/data/vchan
}

# says LINE: waits until the domain's console shows the line.
says()
{
    wait_for 90 "no '$1' on the console: $(cat $console)" grep -q "$1" $console
}

said()
{
    sed -n 's/\r//; s/^vchan-echo:/  &/p' $console
}

is_gone()
{
    ! xl domid echo >/dev/null 2>&1
}

# clients COUNT BYTES [PATH]: runs COUNT clients one after another; each gets all its bytes back.
clients()
{
    /share/echo-client "$1" "$2" "$id" "${3:-$path}" || fail "$1 clients, $2 bytes: $(said | tail -n 3)"
}

# is_cleared DOM: no channel of the domain is listed any more.
is_cleared()
{
    ! xl-vchan list "$1" >/dev/null 2>&1
}

milliseconds()
{
    echo "$(tr -d . </proc/uptime | cut -d ' ' -f 1)0"
}
