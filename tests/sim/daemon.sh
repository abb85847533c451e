#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan daemon in one scenario after another; each must leave xenstore as it found it, and
# depends on no other. lab/on-xen.bash runs the same on real Xen, some at a time, with functions of
# its own for what xensim does here.
limit=${limit:-1500}
. "${WORDS:-$(dirname "$0")/../lib/sim-lib.bash}"

# A host may set: how long to wait for anything, in seconds; how often to repeat what is repeated;
# how much slower it is than this; how many scenarios came before the first one; what else a config
# needs, where $inhabited tells whether the scenario runs programs in its domains.
[ -z "${SANITIZED:-}" ] || : "${times:=20}" "${moments:=5}" "${slower:=4}"
: "${patience:=60}" "${moments:=20}" "${times:=100}" "${slower:=1}" "${count:=0}"
declare -F bare_config > /dev/null || bare_config() { printf 'memory = 64\nkernel = "/none"\n'; }

configs=$work/configs auto=$work/auto state=$work/state
mkdir "$configs" "$auto"
export PVCHAN_STATE_DIR=$state

# --- words

uuids=(11111111-2222-4333-8444-0000000000{1,2,3,4}{1,2,3,4,5,6,7,8,9})
next=0

# config NAME ENTRY…: writes a config file in the configured directory. fixed NAME ENTRY…: with a
# uuid.
config() {
    local name=$1 entries=()
    shift
    [ $# = 0 ] || printf -v entries '"%s",' "$@"
    { printf 'name = "%s"\nvchan = [ %s ]\n' "$name" "${entries[*]}"; bare_config; } > "$configs/$name.cfg"
}
fixed() {
    config "$@"
    uuid=${uuids[next++]}
    echo "uuid = \"$uuid\"" >> "$configs/$1.cfg"
}
plain() { run 0 xl create -q "${@:2}" "$configs/$1.cfg"; }

daemon_start() {
    : > "$work/daemon"
    xl-vchan daemon -c "$configs" -c "$auto" 2> "$work/daemon" &
    daemon=$!
}
daemon_stop() {
    kill -"${1:-TERM}" "$daemon"
    wait "$daemon" 2> /dev/null
    local got=$?
    daemon=
    [ "${1:-TERM}" != TERM ] || [ $got = 0 ] || fail "daemon: exit code $got: $(cat "$work/daemon")"
}

# told TEXT: the daemon logs that within $patience seconds.
told() {
    local deadline=$((SECONDS + patience)) text
    while IFS= read -rd '' text < "$work/daemon"; [[ $text != *"$1"* ]]; do
        [ $SECONDS -lt $deadline ] || { fail "the daemon does not say \"$1\" but: $text"; return; }
        pause
    done
}

is_up() { run 0 xl-vchan wait --timeout $patience "$1" "$2" "${3:-InitWait}"; }
is_gone() { run 0 xl-vchan wait --timeout $patience "$1" "$2" gone; }
has() { run 0 xl-vchan show "$1" "$2"; }
has_not() { run 1 xl-vchan show "$1" "$2"; }
domid() { xl domid "$1"; }

# looked: the daemon has looked at everything up to now: a domain comes and gets its channel.
looked() {
    config probe "name=probe"
    plain probe
    is_up probe probe Initialising
    run 0 xl destroy probe
    is_gone probe probe
    rm "$configs/probe.cfg"
}

# moment N: lets other processes run for a time that differs with each N.
moment() { pause "$(printf '0.%03d' $((2 * $1 * slower)))"; }

snapshot() { xenstore-ls -f | sort; }
title='' inhabited=''
scenario() {
    [ -z "$title" ] || check_leaks
    count=$((count + 1)) inhabited=
    title="$count. $*"
    part "$title"
}
the_end() {
    check_leaks
    [ -z "$daemon" ] || daemon_stop
    backend_stop
    echo "up to scenario $count"
    finish
}
check_leaks() {
    local id now
    for id in $(xenstore-list /local/domain); do
        [ "$id" != 0 ] || continue
        xl destroy "$id" 2> /dev/null || ! xl list "$id" > /dev/null 2>&1 || fail "$title: destroy $id"
    done
    timeout $patience xl-vchan watch --until gone > "$work/out" || fail "$title: left: $(xl-vchan list)"
    for ((i = 0; i < patience * 10; i++)); do
        now=$(snapshot)
        [ "$now" != "$clean" ] || break
        pause 0.1
    done
    [ "$now" = "$clean" ] || fail "$title: left: $(diff <(echo "$clean") <(echo "$now"))"
    rm -f "$configs"/* "$auto"/*
    rm -rf "$state"/*.cfg
}

backend_start
backend_ready
clean=$(snapshot)
daemon_start
looked # a scenario may begin with its end, so check from here on

# --- how channels come

scenario "plain xl create"
config web "name=db, connection=echo" "name=app, ring=1K"
plain web
is_up web db
is_up web app Initialising
told 'xl-vchan: daemon: web: channel "db": plugged'

scenario "plain xl create -p, then unpause"
config web "name=db, connection=echo"
plain web -p
is_up web db
run 0 xl unpause web

scenario "xl-vchan create beside the daemon: each channel once"
for i in 1 2 3; do
    config web "name=db, connection=echo" "name=app"
    run 0 xl-vchan create "$configs/web.cfg"
    [ "$(xl-vchan list --json web | grep -c '"domid"')" = 2 ] || fail "$(xl-vchan list)"
    run 0 xl destroy web
    is_gone web db
done

scenario "no channels declared: no record either"
config web
plain web
looked
# the probe's
[ "$(ls "$state"/*.cfg 2> /dev/null | wc -l)" -le 1 ] || fail "records: $(ls "$state")"

scenario "declared twice: said, and nothing done"
config web "name=db"
sed 's/db/other/' "$configs/web.cfg" > "$auto/copy.cfg"
plain web
told "xl-vchan: daemon: web: the domain is declared in both $configs/web.cfg and $auto/copy.cfg"
has_not web db

scenario "copies of a file do not count"
config web "name=db"
for end in .bak .orig .old .save .rpmsave .dpkg-old "~"; do
    sed 's/db/other/' "$configs/web.cfg" > "$configs/web.cfg$end"
done
plain web
is_up web db Initialising
told "xl-vchan: daemon: web: $configs/web.cfg.bak declares this domain but is ignored: its name looks like a backup copy"

scenario "one file, linked to in auto"
config web "name=db, connection=echo"
ln -s "$configs/web.cfg" "$auto/web.cfg"
plain web
is_up web db

scenario "the uuid in a file beats the name"
fixed web "name=right"
config decoy "name=wrong"
sed -i 's/name = "decoy"/name = "web"/' "$configs/decoy.cfg"
plain web
is_up web right Initialising
has_not web wrong

scenario "a mistake in the file: said with its line; the next domain is served"
config web "name=db, ring=3G"
plain web
told "$configs/web.cfg:2: vchan entry 1: key \"ring\": 3G is larger than 1M"
config other "name=db"
plain other
is_up other db Initialising

scenario "junk in the directories"
head -c 5000 /dev/urandom > "$configs/random"
mkfifo "$configs/fifo"
mkdir "$configs/directory"
ln -s /nowhere "$configs/dangling"
echo 'name = "web' > "$configs/half.cfg"
config web "name=db"
cp "$configs/web.cfg" "$configs/web.cfg~"
plain web
is_up web db Initialising
rm -r "$configs/directory"

scenario "names with blanks and quotes"
config "my web" "name=db, connection=exec, user=root, command=echo 'a \\\"b\\\" \\\\\\\\c', d"
plain "my web"
is_up "my web" db
run 0 xl-vchan show "my web" db
[[ $out == *"command         echo 'a \"b\" \\\\c', d"* ]] || fail "show: $out"
before=$(domid "my web")
run 0 xl reboot "my web"
run 0 xl-vchan watch --timeout 1 "my web"
is_up "my web" db
run 0 xl-vchan show "my web" db
[[ $out == *"command         echo 'a \"b\" \\\\c', d"* ]] || fail "show after the reboot: $out"
run 0 xl destroy "my web"

scenario "SIGHUP: the files are read again"
config web
plain web
looked
config web "name=db"
kill -HUP "$daemon"
is_up web db Initialising

# --- how they stay

scenario "reboot: declared and hot-plugged channels follow, unplugged ones do not"
config web "name=db, connection=echo" "name=app"
plain web
is_up web db
run 0 xl-vchan attach web "name=hot, connection=echo, devid=9"
run 0 xl-vchan detach web app
old=$(domid web)
run 0 xl reboot web
run 0 xl-vchan wait --timeout $patience "$old" db gone
is_up web db
is_up web 9
has_not web app
[ "$(domid web)" != "$old" ] || fail "no reboot"

scenario "rename, then reboot"
config web "name=db, connection=echo"
plain web
is_up web db
old=$(domid web)
run 0 xl rename web www
has www db
run 0 xl reboot www
run 0 xl-vchan wait --timeout $patience "$old" db gone
is_up www db

scenario "restore and migration in: the same uuid, first under another name"
fixed web "name=db, connection=echo"
plain web
is_up web db
run 0 xl-vchan attach web "name=hot, connection=echo"
run 0 xl destroy web
is_gone web db
run 0 xl create -q "$configs/web.cfg" 'name="web--incoming"'
is_up web--incoming hot
run 0 xl rename web--incoming web
has web db

scenario "migration in: no record here"
fixed web "name=db, connection=echo"
sed -i '/uuid/d' "$configs/web.cfg"
run 0 xl create -q "$configs/web.cfg" 'name="web--incoming"'
looked
has_not web--incoming db
run 0 xl rename web--incoming web
is_up web db
run 0 xl destroy web

scenario "a domain that has shut down gets nothing more"
config web "name=db, backend=late"
echo 'on_poweroff = "preserve"' >> "$configs/web.cfg"
plain web
told 'channel "db": waiting for its backend'
run 0 xl shutdown -w web
config late
plain late
looked
has_not web db

# --- two guests

scenario "guest to guest: the backend comes later, goes, and comes again"
config web "name=log, backend=logger"
plain web
told 'channel "log": waiting for its backend'
config logger
for i in 1 2; do
    plain logger
    is_up web log Initialising
    [ "$(xenstore-read "/local/domain/$(domid web)/device/vchan/0/backend-id")" = "$(domid logger)" ] ||
        fail "not with the new backend"
    run 0 xl destroy logger
    is_gone web log
done

scenario "guest to guest: the backend reboots"
config logger
plain logger
config web "name=log, backend=logger"
plain web
is_up web log Initialising
old=$(domid logger)
run 0 xl reboot logger
run 0 xl-vchan watch --timeout $patience --until gone nobody
told 'channel "log": removed: its backend'"'"'s domain is gone'
is_up web log Initialising
[ "$(xenstore-read "/local/domain/$(domid web)/device/vchan/0/backend-id")" != "$old" ] || fail "the old backend"

scenario "guest to guest: hotplug between running domains, both ways"
config one
config two
plain one
plain two
run 0 xl-vchan attach one "name=a, backend=two"
run 0 xl-vchan attach two "name=b, backend=$(domid one)"
old=$(domid two)
run 0 xl reboot two
run 0 xl-vchan wait --timeout $patience "$old" b gone
is_up one a Initialising
is_up two b Initialising

# --- how they go: survivors see it

scenario "the frontend's domain dies while connected"
inhabited=1
config web "name=db, connection=echo"
plain web
is_up web db
mkfifo "$work/in"
in_domain web vchan cat db < "$work/in" > "$work/out" 2> /dev/null &
exec {in}> "$work/in"
is_up web db Connected
old=$(domid web)
run 0 xl destroy web
run 0 xl-vchan wait --timeout $patience "$old" db gone
exec {in}>&-
rm "$work/in"
wait $!

scenario "the backend's domain dies while connected"
inhabited=1
config logger
plain logger
config web "name=log, backend=logger"
plain web
is_up web log Initialising
mkfifo "$work/in"
in_domain logger vchan cat "$(domid web)/log" < "$work/in" > "$work/theirs" 2>&1 &
theirs=$!
exec {in}> "$work/in"
in_domain web vchan cat log < "$work/in" > "$work/ours" 2>&1 &
ours=$!
is_up web log Connected
run 0 xl destroy logger
wait $ours
is_gone web log
exec {in}>&-
rm "$work/in"
wait $theirs

scenario "a backend that hangs when the frontend dies: it has 10 s"
config web "name=db, connection=echo"
plain web
is_up web db
freeze "$backend"
run 0 xl destroy web
run 3 xl-vchan watch --timeout 3 --until gone
run 0 xl-vchan watch --timeout $patience --until gone
kill -CONT "$backend"

scenario "leftovers of an unknown past"
xenstore-write /local/domain/0/backend/vchan/77/0/state 4 /local/domain/0/backend/vchan/77/0/name x
config web "name=db"
plain web
xenstore-write "/local/domain/0/backend/vchan/$(domid web)/5/state" 1
looked
run 1 xenstore-read "/local/domain/0/backend/vchan/$(domid web)/5/state"
has web db
# From an earlier domain with this id, with another backend.
xenstore-write "/libxl/$(domid web)/device/vchan/0/mark" 1
xenstore-write "/local/domain/99/backend/vchan/$(domid web)/0/state" 4
looked
run 1 xenstore-read "/local/domain/99/backend/vchan/$(domid web)/0/state"
run 0 xenstore-read "/libxl/$(domid web)/device/vchan/0/mark" # the same device as before
xenstore-rm /local/domain/99
# The backend may have taken it; the daemon asks it to close it.
run 0 xl-vchan wait --timeout $patience 77 x gone

# --- while the daemon is not there

scenario "domains that came while it was down"
daemon_stop
config web "name=db, connection=echo"
plain web
config logger
plain logger
config reader "name=log, backend=logger"
plain reader
daemon_start
is_up web db
is_up reader log Initialising

scenario "domains that went while it was down"
config web "name=db, connection=echo"
plain web
is_up web db
config logger
plain logger
config reader "name=log, backend=logger"
plain reader
is_up reader log Initialising
daemon_stop
run 0 xl destroy web
run 0 xl destroy logger
daemon_start
is_gone reader log
is_gone web db

scenario "a reboot while it was down"
config web "name=db, connection=echo"
plain web
is_up web db
run 0 xl-vchan attach web "name=hot, connection=echo"
daemon_stop
exec {introduced}< <(exec timeout $patience xenstore-watch -n 2 @introduceDomain)
read -r -u "$introduced" # the first line shows that it watches
run 0 xl reboot web
read -r -u "$introduced" || fail "no reboot"
daemon_start
is_up web db
is_up web hot

scenario "killed while it attaches, at different moments"
config web "name=a" "name=b" "name=c" "name=d" "name=e" "name=f"
for ((i = 0; i < moments; i++)); do
    daemon_stop KILL
    plain web
    daemon_start
    moment $i
    daemon_stop KILL
    daemon_start
    is_up web f Initialising
    [ "$(xl-vchan list --json web | grep -c '"domid"')" = 6 ] || fail "$(xl-vchan list)"
    run 0 xl destroy web
    is_gone web a
done

scenario "two daemons"
run 1 xl-vchan daemon
complains "xl-vchan: daemon: another daemon is already running"

# --- beside others

scenario "attach and detach, $times times"
config web
plain web
for ((i = 0; i < times; i++)); do
    run 0 xl-vchan attach web "name=x.$i, connection=echo"
    run 0 xl-vchan detach web "x.$i"
done
[ "$(grep -c 'name=' "$state"/*.cfg)" = 0 ] || fail "record: $(cat "$state"/*.cfg)"

scenario "attaches and detaches at once"
config web
plain web
pids=()
for i in {1..10}; do
    xl-vchan attach web "name=x.$i, connection=echo" &
    pids+=($!)
done
wait "${pids[@]}"
[ "$(xl-vchan list --json web | grep -c '"domid"')" = 10 ] || fail "$(xl-vchan list)"
[ "$(cat "$state"/*.cfg | grep -c 'name=x')" = 10 ] || fail "record: $(cat "$state"/*.cfg)"
pids=()
for i in {1..10}; do
    xl-vchan detach web "x.$i" &
    pids+=($!)
done
wait "${pids[@]}"
[ "$(cat "$state"/*.cfg | grep -c 'name=x')" = 0 ] || fail "record: $(cat "$state"/*.cfg)"

scenario "two applies at once"
config web "name=a"
plain web
is_up web a Initialising
config web "name=a, ring=4K" "name=b" "name=c"
xl-vchan apply "$configs/web.cfg" > /dev/null &
other=$!
run 0 xl-vchan apply "$configs/web.cfg"
wait $other || fail "the other apply: exit code $?"
run 0 xl-vchan diff "$configs/web.cfg"
[ "$(xl-vchan list --json web | grep -c '"domid"')" = 3 ] || fail "$(xl-vchan list)"

scenario "destroyed while an attach waits"
config web
plain web
freeze "$backend"
xl-vchan attach --wait 30 web "name=x, connection=echo" 2> "$work/err" &
attach=$!
is_up web x Initialising
run 0 xl destroy web
wait $attach && fail "the attach succeeded"
grep -q 'channel "x": it or its domain has been removed$' "$work/err" || fail "$(cat "$work/err")"
kill -CONT "$backend"

scenario "destroyed at different moments of an attach"
config web
for ((i = 0; i < moments; i++)); do
    plain web
    xl-vchan attach web "name=x, connection=echo" 2> /dev/null &
    attach=$!
    moment $i
    run 0 xl destroy web
    wait $attach
    run 0 xl-vchan watch --timeout $patience --until gone
done

scenario "an attach that is killed while it waits"
config web
plain web
freeze "$backend"
xl-vchan attach web "name=x, connection=echo" &
attach=$!
is_up web x Initialising
kill -KILL $attach
wait $attach 2> /dev/null
kill -CONT "$backend"
is_up web x
run 0 xl-vchan detach web x

scenario "a xl-vchan create that is killed while its backend hangs"
config web "name=x, connection=echo"
freeze "$backend"
xl-vchan create --wait 30 "$configs/web.cfg" &
create=$!
is_up web x Initialising
kill -KILL $create
wait $create 2> /dev/null
kill -CONT "$backend"
is_up web x
run 0 xl-vchan detach web x

scenario "the backend service starts anew"
config web "name=db, connection=echo"
plain web
is_up web db
backend_stop
backend_start
is_up web db

# --- records that cannot be written or read

scenario "a full disk under the records"
config web "name=db"
plain web
is_up web db Initialising
mkdir "$work/full"
mount -t tmpfs -o size=8k,nr_inodes=4 full "$work/full" || fail "cannot mount"
cp "$state"/*.cfg "$state/lock" "$work/full/"
head -c 100000 /dev/zero > "$work/full/rest" 2> /dev/null
before=$(snapshot)
run 1 env PVCHAN_STATE_DIR="$work/full" xl-vchan attach web name=x
[[ $err == "xl-vchan: attach web: cannot write $work/full/"*".cfg.new: No space left on device (xl-vchan stores its records there)" ]] ||
    fail "complained: $err"
run 1 env PVCHAN_STATE_DIR="$work/full" xl-vchan detach web db
diff <(echo "$before") <(snapshot) || fail "xenstore changed"
diff "$state"/*.cfg "$work"/full/*.cfg || fail "the record changed"
umount "$work/full"

scenario "no place for records at all"
config web
plain web
run 1 xl-vchan --state-dir /proc/none attach web name=x
complains "xl-vchan: attach web: cannot write /proc/none: No such file or directory (xl-vchan stores its records there)"

scenario "a record that somebody broke"
config web "name=db"
plain web
is_up web db Initialising
echo 'vchan = [ "ring=1K" ]' > "$(echo "$state"/*.cfg)"
run 0 xl-vchan attach web name=x
[[ $err == "xl-vchan: attach web: $state/"*".cfg:1: vchan entry 1: key \"name\": missing (add name=NAME) (the record has been moved to $state/"*".cfg.bad)" ]] ||
    fail "complained: $err"
has web db
grep -q '"name=db' "$state"/*.cfg || fail "record: $(cat "$state"/*.cfg)"

scenario "wherever it is started, with any umask"
daemon_stop
: > "$work/daemon"
(cd "$work" && umask 0 && exec xl-vchan --state-dir state daemon -c configs -c auto 2> daemon) &
daemon=$!
looked
[ "$(readlink "/proc/$daemon/cwd")" = / ] || fail "the daemon is in $(readlink "/proc/$daemon/cwd")"
grep -q "^Umask:	0077$" "/proc/$daemon/status" || fail "the daemon has $(grep Umask "/proc/$daemon/status")"

scenario "the service manager is told"
daemon_stop
socat -u "UNIX-RECV:$work/notify" "OPEN:$work/told,creat" &
socat=$!
for i in {1..200}; do
    [ -S "$work/notify" ] && break
    pause
done
# heard TEXT: the manager got that message within 30 seconds.
heard() {
    local i
    for i in {1..600}; do
        ! grep -q "$1" "$work/told" || return 0
        pause
    done
    fail "no $1, but: $(cat "$work/told")"
}
NOTIFY_SOCKET=$work/notify xl-vchan daemon 2> "$work/daemon" &
daemon=$!
heard READY=1
daemon_stop
heard STOPPING=1
kill $socat
[ "$(cat "$work/told")" = "READY=1STOPPING=1" ] || fail "told: $(cat "$work/told")"

the_end
