#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Domain 0 and guest g1, one round after another: streams and round trips with pvchan, with
# libxenvchan, and with TCP over xen-netback and xen-netfront. The CPU is emulated, so only ratios
# mean anything, and only ratios are printed.
. "$VOCABULARY"

rounds=3 count=0
here_address=10.9.8.1 guest_address=10.9.8.2

# --- a network interface without a bridge

cat >vif <<VIF
#!/bin/sh
[ "\$1" != online ] || { ip addr add $here_address/24 dev \$vif && ip link set \$vif up; }
xenstore-write "\$XENBUS_PATH/hotplug-status" connected
VIF
chmod +x vif

network_up()
{
    xl network-attach g1 script="$PWD/vif" || fail "network-attach"
    wait_for 90 "no interface in the guest" guest-exec g1 sh -c \
        "ip link set lo up; ip addr add $guest_address/24 dev eth0 && ip link set eth0 up" 2>/dev/null
    wait_for 90 "the guest is not to be reached" ping -c 1 -W 1 $guest_address >/dev/null
}

# --- bytes

# measure LIBRARY WORK SIZE TOTAL RING: one measurement. The guest offers and receives, as a
# frontend's libxenvchan server does. Appends the row and its result to ./samples (bytes a second,
# or round trips a second).
measure()
{
    local place=/local/domain/$g1/data/b$((count++)) value
    [ "$1" != tcp ] || place=$guest_address
    guest-exec g1 timeout 300 /run/peer "$1" server "$2" "$3" "$4" 0 "$place" "$5" "$5" >server.out &
    timeout 300 /run/peer "$1" client "$2" "$3" "$4" "$g1" "$place" "$5" "$5" >client.out || fail "$*: client: $?"
    wait $! || fail "$*: server: $?"
    case $2 in
    echo) value=$(sed 's/.*"median": \([0-9.]*\).*/\1/' client.out) ;;
    *) value=$(sed 's/.*"seconds": \([0-9.]*\).*/\1/' server.out) ;;
    esac
    awk -v row="$1 $2 $3 $5" -v work="$2" -v total="$4" -v value="$value" \
        'BEGIN { print row, (work == "echo" ? 1 : total) / value }' >>samples
}

# WORK SIZE and TOTAL for each ring size.
measure_all()
{
    local library ring
    for ring in 4096 65536 1048576; do
        for library in pvchan libxenvchan; do
            measure $library stream 65536 $((ring * 256 < 134217728 ? ring * 256 + 8388608 : 134217728)) $ring
            measure $library stream 64 4194304 $ring
            measure $library echo 64 1000 $ring
        done
    done
    measure tcp stream 65536 33554432 0
    measure tcp stream 64 4194304 0
    measure tcp echo 64 1000 0
}

# Prints the medians of ./samples side by side.
bytes_table()
{
    sort -k1,4 -k5,5g samples | awk '
        { row = $1 " " $2 " " $3 " " $4; value[row, ++count[row]] = $5 }
        function median(row) { return value[row, int((count[row] + 1) / 2)] }
        function times(x) { return sprintf(x < 9.95 ? "%.1f" : "%.0f", x) }
        function line(name, work, size, ring,  mine, real, tcp) {
            mine = median("pvchan " work " " size " " ring)
            real = median("libxenvchan " work " " size " " ring)
            tcp = median("tcp " work " " size " 0")
            printf "| %s | %s | %s | %s |\n", name, ring / 1024 "K", times(mine / real), times(mine / tcp)
        }
        END {
            print "| what (more is better) | rings | pvchan / libxenvchan | pvchan / TCP |\n|---|---|---|---|"
            for (ring = 4096; ring <= 1048576; ring *= 16) {
                line("stream, 64 KiB a call", "stream", 65536, ring)
                line("stream, 64 B a call", "stream", 64, ring)
                line("round trips, 64 B", "echo", 64, ring)
            }
        }'
}

cp /share/peer /run/peer
guest-exec g1 sh -c 'cat >/run/peer && chmod +x /run/peer' </share/peer || fail "the guest does not get bench/peer"
g1=$(xl domid g1)
network_up
for ((round = 0; round < rounds; round++)); do
    measure_all
done
bytes_table
xl network-detach g1 0 || fail "network-detach"
cp samples /share/results/bytes.samples
