#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan-backend is killed at random moments, KILLS times (100), under load in both directions, with
# a service manager that holds its descriptors: no byte is lost or repeated.
set -u
kills=${KILLS:-100}
limit=$((900 + kills / 2))
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1
. "${srcdir:-.}/tests/lib/traffic.bash" || exit 1
PATH=$PWD/tests/programs:$PATH
most=${KILL_MS:-120} # the longest life

# service: prints vchan-backend's process id.
service() { pgrep -P "$manager" -x vchan-backend; }

part "$kills kills of the backend"
manager_start "$kills" "$most"
traffic_domain
all_traffic
link=$(readlink "$work/pty")
kill -USR2 "$manager"
manager_says "kills done" $((120 + kills))
all_traffic_ends
[ "$(readlink "$work/pty")" = "$link" ] || fail "the link led to $link, and now to $(readlink "$work/pty")"
[ "$(grep -c "exec: command started" "$work/backend.log")" = 1 ] || fail "another command was started"
echo "reattached=$(grep -c Reconfiguring "$work/backend.log") kills=$kills"

part "SIGHUP: the same without a kill"
kill -USR1 "$manager" # it may not have been Connected at the last kill
: > "$work/backend.log"
all_traffic
for i in 1 2 3 4 5; do
    before=$(grep -c "reloading: continuing as a new process" "$work/backend.log")
    kill -HUP "$manager"
    await_more "reloading: continuing as a new process" "$before"
    all_connected
done
all_traffic_ends
await_line "exec: command exited with status 0" "$work/backend.log"
[ -z "$(ps -o stat=,args= --ppid "$(service)")" ] || fail "left: $(ps -o stat=,args= --ppid "$(service)")"

part "a client, a server, a command that leaves: what it was not given is for the next one, through a kill too"
# The first takes nothing until nothing more comes; then it reports that and takes what it was
# given. The connection is a command.
cat > "$work/first" << 'EOF'
use Socket;
my ($how, $path, $given) = @ARGV;
my $end;
if ($how eq "command") {
    open($end, "<&", 0) || die;
} else {
    socket($end, AF_UNIX, SOCK_STREAM, 0) || die;
    if ($how eq "client") {
        connect($end, pack_sockaddr_un($path)) || die;
    } else {
        my $listener = $end;
        bind($listener, pack_sockaddr_un($path)) && listen($listener, 1) || die;
        accept($end, $listener) || die;
        unlink($path);
    }
}
my ($had, $has, $calm) = (-1, 0, 0);
for (; $calm < 10; select(undef, undef, undef, 0.1)) {
    my $number = pack("i", 0);
    ioctl($end, 0x541B, $number) || die; # FIONREAD
    ($had, $has) = ($has, unpack("i", $number));
    $calm = $has > 0 && $has == $had ? $calm + 1 : 0;
}
open(my $file, ">", $given) || die;
if ($how eq "command") {
    print $file "x" x $has;
    close($file);
    exit(0);
}
shutdown($end, 0);
print $file $_ while sysread($end, $_, 65536);
EOF
head -c 2000000 /dev/urandom > "$work/data"

# first_leaves HOW NAME: the guest sends everything to it; it has left, and the backend was killed.
first_leaves() {
    rm -f "$work/given"
    in_guest "$work/said-guest" vchan cat "$2" < "$work/data" > /dev/null &
    guest=$!
    [ "$1" = command ] ||
        timeout 60 perl "$work/first" "$1" "$work/$2" "$work/given" || fail "the first $1"
    await_more "$2: .*\(disconnected\|restarting\)" 0
    before=$(grep -c "$2: Reconfiguring" "$work/backend.log")
    kill -USR1 "$manager"
    await_more "$2: Reconfiguring" "$before"
}
# next_has FILE: the rest is there, to the last byte.
next_has() {
    wait "$guest" || fail "the guest: $(cat "$work/said-guest")"
    tail -c +$(($(stat -c %s "$work/given") + 1)) "$work/data" | cmp - "$1" || fail "the next one was not given the rest"
}
: > "$work/backend.log"
first_leaves client socket
timeout 60 socat -u "UNIX-CONNECT:$work/socket" - > "$work/rest"
next_has "$work/rest"
run 0 xl-vchan attach guest "name=server, connection=connect, path=$work/server, reconnect=1"
first_leaves server server
timeout 60 socat -u "UNIX-LISTEN:$work/server" - > "$work/rest"
next_has "$work/rest"
# locked; otherwise the next command might have got all, and the channel be Closed, before the kill
exec 9> "$work/go"
flock 9
rm "$work/rest"
run 0 xl-vchan attach guest "name=command, connection=exec, user=root, reconnect=1, command=[ -e $work/given ] || exec perl $work/first command none $work/given; flock $work/go true; exec cat >> $work/rest"
first_leaves command command
flock -u 9
next_has "$work/rest"
exec 9>&-

part "a terminal: one that has it open after the other (reconnect=1), through kills between them and of both"
# The first takes nothing until nothing more comes; then, while the service and its workers stand still,
# it takes what it was given, and leaves. The second takes COUNT bytes, and reports when it has half of them.
cat > "$work/user" << 'EOF'
use Fcntl;
my ($path, $given, $count) = @ARGV;
sysopen(my $end, $path, O_RDWR | O_NOCTTY) || die;
open(my $file, ">", $given) || die;
$| = 1;
my ($had, $has, $calm) = (0, 0, 0);
if ($count) {
    for (; $had < $count; $had += length) {
        my $want = $count - $had < 4096 ? $count - $had : 4096;
        sysread($end, $_, $want) || die;
        print $file $_;
        next if $had >= $count / 2 || $had + length() < $count / 2;
        syswrite($end, "second");
        print "half\n";
    }
    exit(0);
}
syswrite($end, "first ");
for (; $calm < 10; select(undef, undef, undef, 0.1)) {
    my $number = pack("i", 0);
    ioctl($end, 0x541B, $number) || die; # FIONREAD
    ($had, $has) = ($has, unpack("i", $number));
    $calm = $has > 0 && $has == $had ? $calm + 1 : 0;
}
print "calm\n";
<STDIN>;
fcntl($end, F_SETFL, O_NONBLOCK);
for ($calm = 0; $calm < 10; select(undef, undef, undef, 0.05)) {
    for ($calm++; sysread($end, $_, 65536); $calm = 0) {
        print $file $_;
    }
}
EOF
# at_terminal GIVEN COUNT: a program ($user) has the terminal open, and has come to the point that
# it reports.
at_terminal() {
    exec {said_user}< <(exec timeout 100 perl "$work/user" "$work/next" "$1" "$2" < "$work/go")
    user=$!
    read -r -t 60 -u "$said_user" line || fail "who has the terminal open says nothing"
}
leaves_terminal() {
    wait "$user" || fail "who had the terminal open: exit code $?"
    exec {said_user}<&-
}
run 0 xl-vchan attach guest "name=next, connection=pty, path=$work/next, reconnect=1"
rm "$work/go"
mkfifo "$work/go"
exec {go}<> "$work/go"
in_guest "$work/said-guest" vchan cat next < "$work/data" > "$work/answers" &
guest=$!
at_terminal "$work/given" 0
mapfile -t frozen < <(service; pgrep -x vchan-worker)
freeze "${frozen[@]}"
echo >&"$go"
leaves_terminal
before=$(grep -c "next: Reconfiguring" "$work/backend.log")
pkill -9 -x vchan-worker # a worker that stands still would be given up only after 30 s
kill -USR1 "$manager"
await_more "next: Reconfiguring" "$before"
at_terminal "$work/rest" $((2000000 - $(stat -c %s "$work/given")))
kill -USR1 "$manager"
leaves_terminal
exec {go}>&-
next_has "$work/rest"
[ "$(cat "$work/answers")" = "first second" ] || fail "the guest was given: $(cat "$work/answers")"

part "nothing is left"
manager_end
detach_all guest
run 0 xl destroy guest
xenstore-rm data 2> /dev/null
finish
