#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vchan: how each command ends, what it then prints, and what it does to its caller's descriptors.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

backend_start
domain guest "name=echo, connection=echo" "name=app" \
    "name=sink, connection=exec, user=root, command=exec >&-; cat > $work/sunk" \
    "name=source, connection=exec, user=root, command=exec <&-; exec cat $work/data" \
    "name=hold, connection=exec, user=root, command=exec sleep 60" \
    "name=held, connection=exec, user=root, command=exec sleep 60"
domain other "name=app"
guest=$(xl domid guest) other=$(xl domid other)
cat=(xensim exec guest vchan cat)
head -c 5M /dev/urandom > "$work/data"
mkfifo "$work/open"
exec {open}<> "$work/open" # a standard input that does not end

part "0: both ended in order"
run 0 "${cat[@]}" echo <<< hi
says hi
run 0 "${cat[@]}" echo < /dev/null
says ""
run 0 "${cat[@]}" sink < "$work/data"
same "$work/data" "$work/sunk"
"${cat[@]}" source < /dev/null > "$work/out" || fail "source: exit code $?"
same "$work/data" "$work/out"

part "1: standard input and output"
run 1 "${cat[@]}" hold < "$work"
complains "vchan: cannot read standard input: Is a directory"
run 1 sh -c '"$@" > /dev/full' sh "${cat[@]}" echo <<< hi
complains "vchan: cannot write to standard output: No space left on device"
"${cat[@]}" source < /dev/null 2> "$work/err" | head -c 1 > /dev/null
[ "${PIPESTATUS[0]}" = 1 ] || fail "a reader that leaves: exit code ${PIPESTATUS[0]}"
[ "$(cat "$work/err")" = "vchan: cannot write to standard output: Broken pipe" ] ||
    fail "a reader that leaves: $(cat "$work/err")"

part "2: usage"
while IFS='|' read -r args text; do
    # shellcheck disable=SC2086
    run 2 vchan $args
    complains "vchan: $text"
done << 'END'
|missing command: cat, echo, list or wait (see vchan help)
dog|"dog": no such command (see vchan help)
cat|missing channel: a name, or --client or --server with DOMID and PATH (see vchan list, vchan help)
cat a b|"b": only one channel can be given (see vchan help)
echo|missing channel: a name, or --client or --server with DOMID and PATH (see vchan list, vchan help)
echo --client 1 /a b|"b": --client needs an absolute path (/local/domain/1/b)
cat --client x|missing DOMID and PATH (see vchan help)
cat --client x y|"x" is not a domain id
cat --server 99999 y|"99999" is not a domain id
cat --loud x|cat: unknown option "--loud" (see vchan help cat)
cat --timeout|cat: missing value for "--timeout" (see vchan help cat)
cat --timeout -1 x|cat: --timeout "-1": expected a number of seconds, such as 10 or 0.5, or inf
cat --read-ring 2M x|cat: --read-ring "2M": expected bytes, such as 4096, 64K or 1M, at most 1M
cat --read-ring 4K x|cat: --read-ring cannot be used with a NAME (see vchan help cat)
cat --write-ring 4K --client 1 /x|cat: --write-ring cannot be used with --client (see vchan help cat)
cat -t 1 x|cat: --linger cannot be used with a NAME (see vchan help cat)
cat --client --server 1 x|cat: --client cannot be used with --server (see vchan help cat)
echo --once x|echo: --once cannot be used with a NAME (see vchan help echo)
cat --client 7 data/x|"data/x": --client needs an absolute path (/local/domain/7/data/x)
cat --json x|cat: unknown option "--json" (see vchan help cat)
wait --state connect x|wait: --state "connect": expected a state, such as Connected or Closed
wait a/b|wait: "a/b" is not a valid channel name
list all|list: "all": unexpected argument
END

part "3: cannot be opened"
run 3 "${cat[@]}" nothing
complains 'vchan: cannot open "nothing": no channel of that name in this domain (see vchan list)'
run 3 "${cat[@]}" "a b"
complains "vchan: cannot open \"a b\": not a valid channel name, or its nodes are invalid"
run 3 vchan cat app
complains 'vchan: cannot open "app": several domains have a channel of that name (write DOMID/NAME)'
"${cat[@]}" held <&"$open" 2> "$work/held" &
holder=$!
await "held: Connected"
run 3 "${cat[@]}" held
complains 'vchan: cannot open "held": another process has it open'
run 3 vchan cat echo
complains 'vchan: cannot open "echo": vchan-backend serves it (connection=echo)'
run 3 vchan cat --client 0 /local/domain/0/data/x
complains "vchan: cannot connect to /local/domain/0/data/x (domain 0): both ends are this domain"
in_domain guest xenstore-write data/x/ring-ref abc data/x/event-channel 1
run 3 vchan cat --client "$guest" "/local/domain/$guest/data/x"
complains "vchan: cannot connect to /local/domain/$guest/data/x (domain $guest): the keys are not numbers, or the page is not granted to this domain"
in_domain guest xenstore-write data/x/ring-ref 8 data/x/event-channel 4000
run 3 vchan cat --client "$guest" "/local/domain/$guest/data/x"
complains "vchan: cannot connect to /local/domain/$guest/data/x (domain $guest): another client is connected, or the server is gone and left its keys"
in_domain guest xenstore-rm data/x

run 3 env -i PATH="$PATH" LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" vchan cat echo
complains 'vchan: cannot open "echo": Xen devices or xenstore are missing, or not accessible to this user (modprobe xen-gntalloc xen-gntdev xen-evtchn)'

part "3: a limit is reached, and it says which"
run 0 xensim limit guest 0
run 3 "${cat[@]}" echo
complains 'vchan: cannot open "echo": the kernel grants no more pages (raise /sys/module/xen_gntalloc/parameters/limit, or use smaller rings)'
run 0 xensim limit guest 1024
# A command of xenstore-write is one transaction: fewer and fewer nodes at once, until none fits. A
# directory has room for about 500 names.
in_domain guest sh -c 'for dir in 1 2 3 4; do
    i=0
    for n in 100 10 1; do
        while [ $i -lt 300 ] && xenstore-write $(seq -f "data/many/$dir/%g x" $((i + 1)) $((i + n))); do i=$((i + n)); done
    done
done' 2> /dev/null
run 3 "${cat[@]}" echo
complains 'vchan: cannot open "echo": a xenstore quota of this domain is used up (see pvchan(7), LIMITS)'
in_domain guest xenstore-rm data/many

part "4: time"
run 4 "${cat[@]}" --timeout 0.2 app
complains 'vchan: cannot open "app": the peer did not connect in time (see vchan list)'
run 4 vchan cat --timeout 0.2 --client "$guest" "/local/domain/$guest/data/x"
complains "vchan: cannot connect to /local/domain/$guest/data/x (domain $guest): no server offered it in time"
run 4 xensim exec guest vchan cat --timeout 0.2 --server 0 data/x < /dev/null
complains "vchan: the peer did not connect in time"
run 4 vchan wait --timeout 0.2 "$guest/app"
complains "vchan: \"$guest/app\" did not become Connected in time (see vchan list)"

run 4 vchan wait --timeout 0.2 nothing
complains 'vchan: "nothing" did not become Connected in time: no channel has that name (see vchan list)'

part "names of several domains, list and wait"
run 0 xensim exec guest vchan wait --state connected --timeout 60 held
vchan wait --timeout 60 --state Closing "$other/app" &
waiter=$!
vchan cat "$other/app" <<< "from domain 0" &
server=$!
mkfifo "$work/late"
in_domain other vchan cat app < "$work/late" > "$work/out" &
client=$!
exec {late}> "$work/late"
wait "$waiter" || fail "wait: exit code $?"
exec {late}>&-
wait "$client" || fail "other: exit code $?"
wait "$server" || fail "domain 0: exit code $?"
[ "$(cat "$work/out")" = "from domain 0" ] || fail "other got: $(cat "$work/out")"
run 0 xensim exec guest vchan list
[[ $out =~ held\ +frontend\ +0\ +Connected\ +Connected\ +- ]] || fail "list: $out"
run 0 vchan list --json
[[ ${out//[$' \n']/} == *'{"name":"held","role":"backend","devid":5,"peer":'$guest',"state":"Connected","peer_state":"Connected","frontend_error":null,"backend_error":null}'* ]] ||
    fail "list --json: $out"

part "wait: an event costs no look at the channels that it is not about"
entries=()
for i in {1..40}; do entries+=("name=m$i"); done
domain many "${entries[@]}"
B=/local/domain/0/backend/vchan/$(xl domid many)
LD_PRELOAD=$LD_PRELOAD:$PWD/tests/programs/.libs/requests.so REQUESTS=$work/requests \
    timeout 60 vchan wait --timeout 30 --state Closing m1 &
waiter=$!
watching() { [ -e "/proc/$(pgrep -P $waiter)/task" ] && [ "$(ls "/proc/$(pgrep -P $waiter)/task" | wc -l)" = 2 ]; }
within 30 watching # libxenstore has a thread for watches
for i in {1..20}; do xenstore-write "$B/2/error" "$i"; done
xenstore-write "$B/0/state" 5
exits 0 wait "$waiter"
[ "$(cat "$work/requests")" -lt 400 ] || fail "$(cat "$work/requests") requests"
run 0 xl destroy many
xenstore-rm "$B" # no daemon does that here

part "5: the other side died, or did not take all"
# (A backend whose process died is awaited; its successor gives up.)
kill -9 "$backend"
B=/local/domain/0/backend/vchan/$guest/5
xenstore-write "$B/error" "cannot go on" "$B/state" 6
wait "$holder"
[ $? = 5 ] || fail "the holder's exit code"
[ "$(cat "$work/held")" = "vchan: the peer failed or died (see its error in vchan list)" ] ||
    fail "the holder: $(cat "$work/held")"
backend_end 137
in_domain guest vchan cat --server 0 --write-ring 1K data/x < "$work/data" 2> "$work/server" &
server=$!
run 1 sh -c '"$@" > /dev/full' sh vchan cat --client "$guest" "/local/domain/$guest/data/x" <&"$open"
wait "$server"
[ $? = 5 ] || fail "bytes that were not taken: exit code"
[ "$(cat "$work/server")" = "vchan: the peer closed before it took all that was sent" ] ||
    fail "bytes that were not taken: $(cat "$work/server")"

part "the caller's descriptors stay blocking"
backend_start
cat > "$work/flags" << 'END'
"$@"
for fd in 0 1; do
    read -r _ flags < <(grep ^flags /proc/$$/fdinfo/$fd)
    [ $((flags & 04000)) = 0 ] || echo "$fd is non-blocking"
done
END
run 0 bash "$work/flags" "${cat[@]}" echo < <(echo hi)
says hi

part "a stalled direction does not stop the other"
# The output of the first cat is not read until its 5 MB of input have gone to the sink.
"${cat[@]}" echo < "$work/data" > "$work/open" &
stalled=$!
head -c 5242880 <&"$open" > "$work/out"
wait "$stalled" || fail "exit code $?"
same "$work/data" "$work/out"

part "the other side has no more to say, and its process dies: the next one takes what comes"
"${cat[@]}" sink <&"$open" 2> "$work/err" &
waiting=$!
state "/local/domain/0/backend/vchan/$guest/2" 5
echo before >&"$open"
within 30 grep -qx before "$work/sunk"
kill -9 "$backend"
wait "$backend" 2> /dev/null
exec {log}<&-
echo meanwhile >&"$open"
backend_start
within 30 grep -qx meanwhile "$work/sunk"
kill -0 "$waiting" || fail "it has ended: $(cat "$work/err")"
kill "$waiting"
wait "$waiting"

part "the other side is gone with its domain"
domain driver
driver=$(xl domid driver)
run 0 xl-vchan attach guest "name=far, backend=driver"
run 0 xl destroy driver
run 0 xensim exec guest vchan list
[[ $out == *$'\nfar '*" frontend  $driver "*"the peer is not there"* ]] || fail "list: $out"
for i in 1 2; do # also what the first left there
    run 3 "${cat[@]}" --timeout 60 far
    complains "vchan: cannot open \"far\": the backend in domain $driver is gone (detach and attach the channel again in the toolstack domain)"
done

part "output that cannot be written"
for command in help "help cat" --version list; do
    run 1 sh -c "vchan $command > /dev/full"
    complains "vchan: cannot write to standard output: No space left on device"
done

detach_all guest
run 0 xl-vchan detach other app
run 0 xl destroy guest
run 0 xl destroy other
backend_stop
finish
