# SPDX-License-Identifier: LGPL-2.1-or-later
# The machine under a scenario script, for real Xen in the lab. Sourced in domain 0.
# tests/lib/on-sim.sh offers the same for xensim; scripts do not know which one they got. One word
# is a program, so that it can be killed: guest-exec DOM CMD…, which runs CMD in the guest with
# stdin, stdout, stderr and exit code as here.
. "${VOCABULARY%/*}/vocabulary.sh"
PATH=$PATH:${VOCABULARY%/lab/*} # the scenarios' own programs

# nap TENTHS: waits so many tenths of a second. A process for that would take as long again, from the
# CPU of what is awaited: the shell reads what never comes.
[ -p /run/never ] || mkfifo /run/never
exec 7<>/run/never
nap()
{
    # shellcheck disable=SC3045 # bash and busybox have it
    read -r -t "0.$1" _ <&7
}

# guest_config NAME: prints an xl config for a guest of that name, without channels.
guest_config()
{
    sed "s/NAME/$1/" /lab/guest.cfg
}

# guest_wait DOM: waits until commands can run in the guest.
guest_wait()
{
    guest-exec --wait 180 "$1" true
}

# host_usage: prints what is in use now, one fact a line, for host_leaks to compare. Few processes,
# since each takes a tenth of a second: what they print goes through one awk.
host_usage()
{
    usage_sources | awk '
        $1 == "==" { source = $2; name = $3; next }
        source == "nodes" {
            sub(/ = .*/, "")
            if (!/data\/exec/ && /device\/vchan|backend\/vchan|[0-9]\/data\/|domain\/0\/data/) print }
        source == "ports" && sub(/^ *[0-9]+: VCPU [0-9]+: /, "") && match($0, /^Interdomain.*[dD]omain [0-9]+/) {
            print "domain " name ": event channel: " substr($0, 1, RLENGTH) }
        source == "pages" { for (i = 1; i <= $1; i++) print "domain " name ": page granted: " i }
        source == "domains" && $1 == "(null)" { print "zombie domain" }
        source == "log" && /gnttab_usage_print_all \[/ { ours = 1 }
        source == "log" && /grant-table for remote/ { sub(/.*remote d/, ""); owner = $1 + 0 }
        source == "log" && ours && /\[0x[0-9a-f]*\] / {
            sub(/.*\[0x[0-9a-f]*\] */, "")
            print "domain " owner ": page mapped by domain " $1 }'
}

# Xen writes the pages of a domain that another has mapped to its log; the earlier content of the log
# is kept in /lab/xen.log.
usage_sources()
{
    echo "== nodes"
    xenstore-ls -f /
    for _dom in $(xenstore-list /local/domain); do
        echo "== ports $_dom"
        lsevtchn "$_dom"
    done
    for _name in g1 g2; do
        echo "== pages $_name"
        guest-exec --wait 90 $_name granted </dev/null 2>/dev/null
    done
    echo "== domains"
    xl list
    echo "== log"
    xl debug-keys g
    xl dmesg -c | tee -a /lab/xen.log
}

# host_mark: records what is in use, for host_leaks.
host_mark()
{
    host_usage | sort >/lab/mark
}

# Prints what is in use now and was not at host_mark.
usage_beyond_mark()
{
    host_usage | sort >/lab/now
    awk 'NR == FNR { had[$0]++; next } had[$0]-- <= 0' /lab/mark /lab/now
}

no_usage_beyond_mark()
{
    [ -z "$(usage_beyond_mark)" ]
}

# host_leaks: prints what is in use and was not at host_mark; fails if there is anything. Waits some
# seconds for what goes away by itself (a dying domain, a process's last pages).
host_leaks()
{
    (wait_for 90 "" no_usage_beyond_mark) 2>/dev/null && return 0
    usage_beyond_mark | sed 's/^/leak: /'
    return 1
}

# guest_destroy DOM: ends it at once, like a power failure.
guest_destroy()
{
    xl destroy "$1"
}

# host_can WHAT: whether this kind of host can save a guest, boot a PVH guest, and so on.
host_can()
{
    case $1 in
    save | pvh | unikernel) return 0 ;;
    esac
    return 1
}
