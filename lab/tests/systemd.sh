#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The services as a Debian host runs them: by systemd, with their shipped units. The restrictions in
# the units do no harm; what vchan-backend is connected to outlives it, and it is replaced when it
# dies or hangs.
. "${VOCABULARY:-$srcdir/tests/lib/on-sim.sh}"
. "${VOCABULARY%/*}/echo-domain.sh"
kills=${KILLS:-4}

# Starts systemd as the first process of a PID namespace in domain 0.
manager_start()
{
    echo 0123456789abcdef0123456789abcdef >/etc/machine-id
    mount --bind /run /run # otherwise systemd mounts another one over it
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    container=lab unshare -m -p -f --mount-proc sh -c 'mount -t xenfs xenfs /proc/xen
        exec /lib/systemd/systemd --unit=basic.target --show-status=no --log-target=journal' &
    manager=$!
    wait_for 90 "systemd is not up" is_up
    systemctl start systemd-journald || fail "systemd-journald"
}

# systemd answers only processes whose ids exist in its namespace.
systemctl()
{
    nsenter -m -p -t "$(cut -d ' ' -f 1 /proc/$manager/task/$manager/children)" systemctl "$@"
}

is_up()
{
    systemctl is-active basic.target >/dev/null 2>&1
}

property()
{
    systemctl show -P "$1" vchan-backend
}

has_property()
{
    [ "$(property "$1")" = "$2" ]
}

# journal FIELD=VALUE…: prints the messages with these fields.
journal()
{
    journalctl --quiet --output=cat "$@"
}

# answers CHANNEL TEXT: the guest gets that text from the channel.
answers()
{
    same "$1" "$(guest-exec g1 vchan cat --timeout 90 "$1" </dev/null)" "$2"
}

# pumps LINE: the line comes out at the other end of the channel that is open.
pumps()
{
    echo "$1" | tee -a want >&9
    wait_for 90 "'$1' did not arrive" cmp -s want got
}

replaced()
{
    [ "$(property NRestarts)" -ge "$1" ] && has_property SubState running
}

# has PID KEY VALUE: what /proc/PID/status says of it, its fields with a space between.
has()
{
    [ "$(sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr '\t' ' ')" = "$3" ]
}

# has_no_rights NAME USER: the one process of that name that runs as the user can do nothing but its work.
has_no_rights()
{
    for pid in $(pidof "$1"); do has "$pid" Uid "$2 $2 $2 $2" && break; done
    wait_for 90 "$1 without a filter" has "$pid" Seccomp 2
    for right in "Uid $2 $2 $2 $2" "Gid $2 $2 $2 $2" "CapEff 0000000000000000" \
        "CapBnd 0000000000000000" "NoNewPrivs 1"; do
        has "$pid" "${right%% *}" "${right#* }" || fail "not $right: $(cat "/proc/$pid/status")"
    done
}

step "systemctl start"
manager_start
trap 'journalctl --quiet >journal.log' EXIT # the lab keeps it after a failure
systemctl start vchan-backend xl-vchan || fail "systemctl start"
same "its first process" "$(property SubState)" running
wait_for 90 "no status" has_property StatusText "0 channels, 0 connected"

step "vchan-holder has no rights"
wait_for 90 "no vchan-holder" pidof vchan-holder
has_no_rights vchan-holder 65520

step "what the unit takes away is not missed"
echo 'nobody:x:65534:65534::/:/bin/sh' >>/etc/passwd
echo 'nogroup:x:65534:' >>/etc/group
socat TCP-LISTEN:7000,bind=127.0.0.1,fork SYSTEM:'echo by tcp' &
cat >g1.cfg <<CFG
name = "g1"
vchan = [ "name=user, connection=exec, user=nobody, command=id -un; cat /proc/self/status | grep CapEff",
          "name=cgroup, connection=exec, user=nobody, command=cut -d : -f 3 /proc/self/cgroup",
          "name=tcp, connection=tcp, address=127.0.0.1:7000",
          "name=devices, connection=exec, user=root, command=cd /; for i in dev/xen/privcmd proc/xen/privcmd dev/xen/gntdev; do (: <\$i) && echo \$i; done; echo end",
          "name=socket, connection=socket, path=$PWD/socket, owner=nobody, mode=600",
          "name=pty, connection=pty, path=$PWD/pty, owner=nobody, reconnect=0",
          "name=pump, connection=exec, user=root, command=exec 3>&1; echo >>$PWD/started; exec cat >>$PWD/got" ]
CFG
xl-vchan apply g1.cfg || fail "apply"
answers user "$(printf 'nobody\nCapEff:\t0000000000000000')"
answers cgroup "/system.slice/vchan-backend.service/guest-$(xl domid g1)/cgroup-0"
answers tcp "by tcp"
answers devices "$(printf 'dev/xen/gntdev\nend')" # and not the hypervisor's
wait_for 90 "no socket" test -S socket
same "the socket's owner and mode" "$(stat -c %U:%a socket)" nobody:600
wait_for 90 "no terminal" test -c pty
same "the terminal's owner" "$(stat -L -c %U pty)" nobody
hold_open g1 pty
exec 8<>pty
echo hello >&8
wait_for 90 "nothing came from the terminal" grep -qx hello holder.out
exec 8>&-
hold_end
same "vchan cat's exit code" $? 0

step "killed $kills times, with a channel open: the same command gets every byte once"
: >want
: >got
hold_open g1 pump
for i in $(seq "$kills"); do
    echo "before $i" | tee -a want >&9
    systemctl kill --kill-whom=main --signal=KILL vchan-backend
    pumps "meanwhile $i"
    wait_for 90 "not started again: $(property SubState)" replaced "$i"
done
same "how often it was started again" "$(property NRestarts)" "$kills"

step "a worker has no rights, and dies $kills times: the guest notices nothing"
has_no_rights vchan-worker $((1879048192 + $(xl domid g1)))
for i in $(seq "$kills"); do
    # shellcheck disable=SC2046 # one word for each
    kill -9 $(pidof vchan-worker)
    pumps "without its worker $i"
done
same "how often vchan-backend was started again" "$(property NRestarts)" "$kills"

step "systemctl reload: the same process, as a new program"
pid=$(property MainPID)
systemctl reload vchan-backend || fail "systemctl reload"
pumps reloaded
same "its process id" "$(property MainPID)" "$pid"

step "it hangs: the watchdog has it replaced"
mkdir -p /run/systemd/system/vchan-backend.service.d
printf '[Service]\nWatchdogSec=4\nTimeoutAbortSec=4\n' >/run/systemd/system/vchan-backend.service.d/soon.conf
systemctl daemon-reload
systemctl kill --kill-whom=main --signal=KILL vchan-backend # the next process has it
pumps "with a watchdog"
wait_for 90 "not started again" replaced $((kills + 1))
systemctl kill --kill-whom=main --signal=STOP vchan-backend
pumps "from a process that hangs"
wait_for 90 "not started again" replaced $((kills + 2))
contains "the journal" "$(journal -u vchan-backend)" "Watchdog timeout"
hold_end
same "vchan cat's exit code" $? 0
same "how often the command was started" "$(wc -l <started)" 1
wait_for 90 "no status" has_property StatusText "7 channels, 0 connected"

step "a channel's lines in the journal"
same "its states" "$(journal --output-fields=VCHAN_STATE VCHAN_NAME=tcp | sort -u | paste -sd ' ')" \
    "Closed Closing Connected InitWait"

step "xl create: xl-vchan as a service declares what the config says"
echo_config server=none >echo.cfg
echo 'vchan = [ "name=b, connection=echo" ]' >>echo.cfg
cp echo.cfg /etc/xen/ # where the daemon searches for it
echo_start
wait_for 90 "b is not Connected" states_are echo b Connected/Connected
guest_destroy echo
wait_for 90 "what it left is there" is_cleared "$id"

step "systemctl stop, with a channel open: what was written is delivered"
hold_open g1 pump
echo "the last" | tee -a want >&9
systemctl stop vchan-backend xl-vchan || fail "systemctl stop"
same "how it ended" "$(property Result):$(property ExecMainStatus)" success:0
wait $holder
cmp want got || fail "what was written is not all there"
fails "a socket that is left" test -e socket
fails "a process that is left" pidof vchan-backend vchan-holder vchan-worker
for name in user cgroup tcp devices socket pty pump; do
    xl-vchan detach --wait 90 g1 $name || fail "detach $name"
done
