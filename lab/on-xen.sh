# SPDX-License-Identifier: LGPL-2.1-or-later
# What a scenario script says of the machine under it, for real Xen in the lab. Sourced in domain 0.
# tests/lib/on-sim.sh is the same vocabulary for xensim; the scripts do not know which one they got. One
# word is a program, so that it can be killed: guest-exec DOM CMD…, which runs CMD in the guest with
# stdin, stdout, stderr and exit code as here.
. "${VOCABULARY%/*}/vocabulary.sh"
PATH=$PATH:${VOCABULARY%/lab/*} # programs of the scenarios' own

# guest_config NAME: an xl config for a guest of that name, without channels, on stdout.
guest_config()
{
    sed "s/NAME/$1/" /lab/guest.cfg
}

# guest_wait DOM: waits until commands can be run in the guest.
guest_wait()
{
    guest-exec --wait 180 "$1" true
}

# host_usage: what is in use now, a fact a line, for host_leaks to compare.
host_usage()
{
    xenstore-ls -f / | sed -n 's/ = .*//; /data\/exec/d; /device\/vchan\|backend\/vchan\|[0-9]\/data\/\|domain\/0\/data/p'
    for _dom in $(xenstore-list /local/domain); do
        lsevtchn "$_dom" | sed -n "s/^ *[0-9]*: VCPU [0-9]*: \(Interdomain.*[dD]omain [0-9]*\).*/domain $_dom: event channel: \1/p"
    done
    grants_in_use
    for _dom in g1 g2; do
        xl domid $_dom >/dev/null 2>&1 || continue
        seq "$(guest-exec --wait 90 $_dom granted </dev/null)" | sed "s/^/domain $_dom: page granted: /"
    done
    xl list | sed -n 's/^(null) .*/zombie domain/p'
}

# A line for every page of a domain that another has mapped. Xen prints them to its own log; what
# was there before is kept in /lab/xen.log.
grants_in_use()
{
    xl dmesg -c >>/lab/xen.log
    xl debug-keys g
    xl dmesg | tee -a /lab/xen.log | awk '
        /grant-table for remote/ { sub(/.*remote d/, ""); owner = $1 + 0 }
        /\[0x[0-9a-f]*\] / { sub(/.*\[0x[0-9a-f]*\] */, ""); print "domain " owner ": page mapped by domain " $1 }'
    xl dmesg -c >/dev/null
}

# host_mark: remembers what is in use, for host_leaks.
host_mark()
{
    host_usage | sort >/lab/mark
}

# What is in use and was not when host_mark was called.
usage_beyond_mark()
{
    host_usage | sort >/lab/now
    awk 'NR == FNR { had[$0]++; next } had[$0]-- <= 0' /lab/mark /lab/now
}

no_usage_beyond_mark()
{
    [ -z "$(usage_beyond_mark)" ]
}

# host_leaks: prints what is in use and was not at host_mark; fails if that is anything. Gives what
# goes away by itself (a dying domain, a process's last pages) some seconds.
host_leaks()
{
    (wait_for 30 "" no_usage_beyond_mark) 2>/dev/null && return 0
    usage_beyond_mark | sed 's/^/leak: /'
    return 1
}

# guest_destroy DOM: ends it at once, as if its power had failed.
guest_destroy()
{
    xl destroy "$1"
}

# host_can WHAT: whether this kind of host can save a guest, or boot a PVH one.
host_can()
{
    case $1 in
    save | pvh | unikernel) return 0 ;;
    esac
    return 1
}
