#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Domains whose names and uuids are chosen to be mistaken for others: nothing in a name reaches a
# record, another domain's channels or the log.
limit=900
. "$(dirname "$0")/../lib/sim-lib.bash"

configs=$work/configs
export PVCHAN_STATE_DIR=$work/state
mkdir "$configs"
uuid=11111111-2222-4333-8444-00000000000

# config NAME FILE [ENTRY…]: writes a config file in the daemon's directory. plain FILE [SETTING…]:
# creates its domain.
config() {
    local name=$1 file=$2 entries=()
    shift 2
    [ $# = 0 ] || printf -v entries '"%s",' "$@"
    printf 'name = "%s"\nvchan = [ %s ]\nmemory = 64\nkernel = "/none"\n' "$name" "${entries[*]}" > "$configs/$file.cfg"
}
plain() { run 0 xl create -q "$configs/$1.cfg" "${@:2}"; }
bare() {
    printf 'name = "%s"\nmemory = 64\nkernel = "/none"\n' "$1" > "$work/bare.cfg"
    run 0 xl create -q "$work/bare.cfg" "${@:2}"
    id=$(xl domid "$1")
}
# named NAME: gives domain $id that name, whatever it contains, as any toolstack might.
named() { xenstore-write "/local/domain/$id/name" "$1"; }

daemon_start() {
    : > "$work/daemon"
    xl-vchan daemon -c "$configs" 2>> "$work/daemon" &
    daemon=$!
}
daemon_stop() {
    kill "$daemon"
    wait "$daemon" || fail "the daemon ends with $?: $(cat "$work/daemon")"
}
is_up() { run 0 xl-vchan wait --timeout 60 "$1" "$2" "${3:-Initialising}"; }
has() { run 0 xl-vchan show "$1" "$2"; }
has_not() { run 1 xl-vchan show "$1" "$2"; }
gone() { run 0 xl-vchan wait --timeout 60 "$1" "$2" gone; }
nothing_left() { run 0 xl-vchan watch --timeout 60 --until gone; }

# looked: the daemon has looked at everything up to now.
looked() {
    config probe probe "name=probe"
    plain probe
    is_up probe probe
    run 0 xl destroy probe
    gone probe probe
    rm "$configs/probe.cfg"
}
# rebooted NAME CHANNEL: the domain comes again, and the daemon has looked at it.
rebooted() {
    local old
    old=$(xl domid "$1")
    run 0 xl reboot "$1"
    gone "$old" "$2"
    within 60 xl domid "$1"
    looked
}
backend_of() { xenstore-read "/libxl/$1/device/vchan/$2/backend-id"; }
same_id() { [ "$1" = "$2" ] || fail "the backend is domain $1, not $2"; }

backend_start
backend_ready
daemon_start

part "a backend's name with commas: its commands do not run"
config web web
plain web
bare driver
named "Domain-0,connection=exec,user=root,command=touch $work/ran"
run 0 xl-vchan attach web "name=app, backend=$id"
grep -q "backend-uuid=" "$work/state"/*.cfg || fail "no uuid in the record: $(cat "$work/state"/*.cfg)"
! grep -q touch "$work/state"/*.cfg || fail "the name is in the record: $(cat "$work/state"/*.cfg)"
rebooted web app
is_up web app
same_id "$(backend_of "$(xl domid web)" 0)" "$id"
xensim exec "$(xl domid web)" timeout 2 vchan cat app < /dev/null > /dev/null 2>&1
[ ! -e "$work/ran" ] || fail "the command ran"
run 0 xl destroy "$id"
gone web app
run 0 xl destroy web
nothing_left

part "a driver domain named 0 is not domain 0, nor the reverse"
config web web
plain web
bare driver
named 0
run 0 xl-vchan attach web "name=hot, backend=$id"
rebooted web hot
is_up web hot
same_id "$(backend_of "$(xl domid web)" 0)" "$id"
run 0 xl-vchan attach web "name=own, backend=0"
same_id "$(backend_of "$(xl domid web)" 1)" 0
run 0 xl destroy "$id"
gone web hot
looked
has_not web hot
run 0 xl destroy web
nothing_left

part "a driver domain's reboot: its uuid finds it, under another name too"
config web web
plain web
bare driver
run 0 xl-vchan attach web "name=hot, backend=driver"
run 0 xl rename driver engine
old=$(xl domid engine)
run 0 xl reboot engine
has_moved() { [ "$(backend_of "$(xl domid web)" 0)" = "$(xl domid engine)" ]; }
within 60 has_moved
is_up web hot
[ "$(xl domid engine)" != "$old" ] || fail "no reboot"
run 0 xl destroy engine
run 0 xl destroy web
nothing_left

part "a line break in names: records can be read, log lines are whole"
config web web
plain web
bare driver
named $'driver\nxl-vchan: daemon: forged\e[31m'
run 0 xl-vchan attach web "name=hot, backend=$id"
run 0 xl-vchan attach web "name=more"
run 0 xl-vchan list web
[[ $out != *$'\e'* && $out == *'driver?xl-vchan: daemon: forged?[31m'* ]] || fail "listed: $out"
run 0 xl-vchan detach --force web hot
run 0 xl destroy "$id"
id=$(xl domid web)
named $'web\nxl-vchan: daemon: forged'
run 0 xl-vchan attach "$id" "name=third"
has "$id" third
named web
run 0 xl destroy web
nothing_left
rm "$work/state"/*.cfg
bare $'plain'
named $'plain\nxl-vchan: daemon: forged'
xenstore-write "/local/domain/0/backend/vchan/$id/5/state" 1
looked
gone "$id" 5
! grep -q '^xl-vchan: daemon: forged' "$work/daemon" || fail "forged: $(cat "$work/daemon")"
run 0 xl destroy "$id"
rm "$work/state"/*.cfg # the probe's

part "a record that cannot be read is set aside, and stops nothing"
config web web "name=db"
plain web
is_up web db
record=$(echo "$work/state"/*.cfg)
printf 'name = "web\nvchan = [ ]\n' > "$record"
run 0 xl-vchan attach web name=more
[[ $err == "xl-vchan: attach web: $record:"*"(the record has been moved to $record.bad)" ]] || fail "complained: $err"
grep -q '"name=db' "$record" || fail "the record: $(cat "$record")"
echo 'vchan = [ "ring=1K" ]' > "$record"
run 0 xl-vchan detach --force web more
[[ $err == *"(the record has been moved to $record.bad)" ]] || fail "complained: $err"
echo 'vchan = [ "ring=1K" ]' > "$record"
run 0 xl-vchan apply "$configs/web.cfg"
echo 'vchan = [ "ring=1K" ]' > "$record"
looked
grep -q '"name=db' "$record" || fail "the daemon's record: $(cat "$record")"
rebooted web db
is_up web db
run 0 xl destroy web
nothing_left
rm "$work/state"/*.cfg*

part "records of an older xl-vchan"
daemon_stop
config web web
plain web "uuid=\"${uuid}1\""
bare driver
bare 0
echo 'vchan = [ "name=a,backend=driver" ]' > "$work/state/${uuid}1.cfg"
run 0 xl-vchan attach web name=b
grep -q 'name=a,backend=driver' "$work/state/${uuid}1.cfg" || fail "it is: $(cat "$work/state/${uuid}1.cfg")"
echo 'vchan = [ "name=a,connection=exec,command=date" ]' > "$work/state/${uuid}1.cfg"
run 0 xl-vchan attach web name=c
grep -q '"name=a,connection=exec,command=date"' "$work/state/${uuid}1.cfg" || fail "without user=: $(cat "$work/state"/*)"
run 0 xl-vchan detach web c
for name in 0 Domain-0; do
    echo "vchan = [ \"name=a,backend=$name,connection=exec,user=root,command=touch $work/ran\" ]" > "$work/state/${uuid}1.cfg"
    run 0 xl-vchan detach web b
    [[ $err == *"an older xl-vchan wrote backend=$name, which is ambiguous"* ]] || fail "complained: $err"
    run 0 xl-vchan attach web name=b
done
run 0 xl destroy web
run 0 xl destroy driver
run 0 xl destroy "$id"
daemon_start
nothing_left

part "a name that is another domain's id"
config web web "name=db"
plain web
is_up web db
web=$(xl domid web)
config "$web" one "name=other"
plain one
one=$(xl list | awk -v name="$web" '$1 == name { print $2 }')
is_up "$one" other
run 0 xl-vchan apply "$configs/one.cfg"
has web db
has "$web" db
run 0 xl-vchan diff "$configs/one.cfg"
run 0 xl destroy "$one"
run 0 xl destroy web
nothing_left

part "another domain with the uuid: nothing, and a line"
config victim victim "name=db"
plain victim "uuid=\"${uuid}2\""
is_up victim db
victim=$(xl domid victim)
bare thief "uuid=\"${uuid}2\""
told "$work/daemon" "xl-vchan: daemon: thief: domain $victim has the same uuid and came first: domain $id gets none of its channels"
has_not thief db
run 1 xl-vchan attach thief name=x
[[ $err == *"domain $victim has the same uuid and came first"* ]] || fail "complained: $err"
daemon_stop
daemon_start
looked
has_not thief db
rebooted victim db
is_up victim db
has_not thief db
run 0 xl destroy thief
run 0 xl destroy victim
nothing_left

part "a name that ends as a migration's: nothing of the domain that has it without"
config victim victim "name=db"
plain victim
is_up victim db
for suffix in incoming migratedaway; do
    bare "victim--$suffix"
    looked
    has_not "$id" db
    run 0 xl destroy "$id"
done

part "a name that a declared domain had, and lives without: nothing, and a line"
run 0 xl rename victim renamed
plain victim
told "$work/daemon" "xl-vchan: daemon: victim: the channels declared for this name belong to domain $(xl domid renamed)"
has_not victim db
has renamed db
run 0 xl destroy renamed
run 0 xl destroy victim
nothing_left

part "a migration on this host: the channels follow once the first has stopped"
config guest guest "name=db"
echo 'on_poweroff = "preserve"' >> "$configs/guest.cfg"
plain guest "uuid=\"${uuid}3\""
is_up guest db
source=$(xl domid guest)
bare guest--incoming "uuid=\"${uuid}3\""
told "$work/daemon" "domain $id gets none of its channels"
has_not "$id" db
run 0 xl shutdown -w guest
run 0 xl rename guest guest--migratedaway
run 0 xl rename guest--incoming guest
is_up guest db
[ "$(xl domid guest)" = "$id" ] || fail "guest is not domain $id"
run 0 xl destroy guest--migratedaway
gone "$source" db
has guest db
run 0 xl destroy guest
nothing_left

part "wait and watch follow a domain that is renamed"
config web--incoming web
plain web
run 0 xl-vchan attach web--incoming name=app
exec {events}< <(exec timeout 200 xl-vchan watch web--incoming)
watch=$!
read -r -t 60 -u "$events" line || fail "the watch says nothing"
timeout 90 xl-vchan wait --timeout 60 web app Initialising &
wait=$!
run 0 xl rename web--incoming web
wait $wait || fail "wait ends with $?"
run 0 xl-vchan detach web app
while read -r -t 60 -u "$events" line; do [[ $line != *" web app "*"-> -" ]] || break; done
[[ $line == *" web app "* ]] || fail "the watch says: $line"
kill $watch
exec {events}<&-
run 0 xl destroy web
nothing_left

part "the clock jumps: records stay"
config web web
plain web "uuid=\"${uuid}4\""
run 0 xl-vchan attach web "name=hot"
run 0 xl destroy web
nothing_left
touch -d '400 days ago' "$work/state/${uuid}4.cfg"
looked
[ -e "$work/state/${uuid}4.cfg" ] || fail "the record is gone"

part "a migration to another host: the record goes along, by the commands in xl-vchan(8)"
# commands N: prints those of the chapter's Nth example.
commands() {
    sed -n '/^# MIGRATION/,/^# EXAMPLES/p' "${srcdir:-.}/man/xl-vchan.8.scd" |
        awk -v n="$1" '/^```/ { inside = !inside; count += inside; next } inside && count == n'
}
# The other host is another directory of records, without other domains.
scp() { [ "$2" = "other:$work/state/" ] && cp "$1" "$work/record.cfg"; }
xl() {
    [ "$1" = migrate ] || { command xl "$@"; return; }
    command xl destroy "$2"
    nothing_left
}
migrate() {
    local uuid=
    [ "$(commands 1)" ] || return 1
    set -e
    eval "$(commands 1 | sed "s#/var/lib/pvchan/#$work/state/#g")"
}
config web web "name=db"
plain web "uuid=\"${uuid}6\""
is_up web db
run 0 xl-vchan attach web "name=hot, ring=8K"
run 0 xl-vchan detach web db
(migrate) || fail "the first example fails: $(commands 1)"
[ ! -e "$work/state/${uuid}6.cfg" ] || fail "the record is left here"
daemon_stop
export PVCHAN_STATE_DIR=$work/other
mkdir "$work/other"
cp "$work/record.cfg" "$work/other/${uuid}6.cfg"
daemon_start
plain web "uuid=\"${uuid}6\""
is_up web hot
looked
has_not web db
run 0 xl destroy web
nothing_left
rm "$work/other"/*.cfg
plain web "uuid=\"${uuid}6\""
is_up web db
has_not web hot
second=$(commands 2)
[ "$second" ] || fail "there is no second example"
(cd "$work" && eval "$second") > "$work/applied" || fail "the second example fails: $(cat "$work/applied")"
is_up web hot
has_not web db
rebooted web hot
is_up web hot
looked
has_not web db
run 0 xl destroy web
nothing_left
daemon_stop
export PVCHAN_STATE_DIR=$work/state
unset -f scp xl

part "renamed while an attach has its record: the next command waits for that, whatever the name"
config web web
plain web "uuid=\"${uuid}5\""
# waits_or_ends: all locks are the first one's two and the new name's; or nothing waits.
waits_or_ends() { [ "$(grep -c ":$(stat -c %i "$work/state/lock") " /proc/locks)" = 3 ] || ! kill -0 $second; }
freeze "$backend"
xl-vchan attach --wait inf web "name=first, connection=echo" 2> "$work/first.err" &
first=$!
is_up web first
run 0 xl rename web www
timeout 100 xl-vchan attach www "name=second" 2> "$work/second.err" &
second=$!
within 50 waits_or_ends
kill -CONT "$backend"
wait $first || fail "the first ends with $?: $(cat "$work/first.err")"
wait $second || fail "the second ends with $?: $(cat "$work/second.err")"
grep -q '"name=first,' "$work/state/${uuid}5.cfg" || fail "the first is not in: $(cat "$work/state/${uuid}5.cfg")"
grep -q '"name=second' "$work/state/${uuid}5.cfg" || fail "the second is not in: $(cat "$work/state/${uuid}5.cfg")"
run 0 xl-vchan detach www first
run 0 xl-vchan detach www second
run 0 xl destroy www

backend_stop
finish
