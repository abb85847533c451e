#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Tests tests/model/fuzz-page, tests/model/steps-close and tests/unit/ring-tsan: each fault below,
# put into a copy of the code, must be found by the test named with it. A fault that no longer
# applies (because the line has changed) is a failure, too: rewrite it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "${srcdir:?}"

flags=(-std=gnu11 -O1 -D_GNU_SOURCE -include tests/model/fuzz-barrier.h)
common=(tests/lib/fake-spin.c tests/lib/fake-xen.c tests/model/fuzz-barrier.c state/device.c vchan/copy.c)
product=(vchan/bytes.c vchan/channel.c vchan/relay.c vchan/ring.c)
declare -A main=(
    [fuzz-page]="tests/model/fuzz-page.c tests/model/fuzz-replay.c"
    [steps-close]="tests/model/steps-close.c tests/model/steps.c"
)

# compile SOURCE OBJECT
compile() { ${CC:-cc} "${flags[@]}" -I "$work/tree" -I . -c "$1" -o "$2"; }

mkdir -p "$work/tree/vchan" "$work/objects"
# shellcheck disable=SC2068 # each names several files
for source in "${common[@]}" "${product[@]}" ${main[@]}; do
    compile "$source" "$work/objects/$(basename "$source" .c).o"
done

# link PROGRAM: links with the objects in $work/seeded instead of the good ones.
link() {
    local source name objects=()
    for source in "${common[@]}" "${product[@]}" ${main[$1]}; do
        name=$(basename "$source" .c)
        [ -e "$work/seeded/$name.o" ] && objects+=("$work/seeded/$name.o") || objects+=("$work/objects/$name.o")
    done
    ${CC:-cc} "${objects[@]}" -o "$work/$1"
}

# play PROGRAM [ARGUMENT]
play() { (cd "$work" && srcdir="$here" timeout 900 "./$1" "${@:2}" > log 2>&1); }
here=$PWD

# Without a fault they find none: tests/model/fuzz-page and tests/model/steps-close are tests that
# pass.

# seed TEST FILE SED-COMMAND WHAT [ARGUMENT]: ARGUMENT is the test's.
faults=0
seed() {
    local source test=("$1" "${@:5}")
    sed "$3" "$2" > "$work/tree/$2"
    if cmp -s "$2" "$work/tree/$2"; then
        echo "seed \"$4\": $2 has changed, and the fault does not fit in any more"
        exit 1
    fi
    mkdir -p "$work/seeded"
    case $2 in
    *.h) for source in "${product[@]}"; do compile "$source" "$work/seeded/$(basename "$source" .c).o"; done ;;
    *) compile "$work/tree/$2" "$work/seeded/$(basename "$2" .c).o" ;;
    esac
    link "$1"
    rm -r "$work/tree/$2" "$work/seeded"
    if play "${test[@]}"; then
        echo "$1 does not find: $4"
        exit 1
    fi
    if ! grep -qE "broken rule|status 0x(7|8)?b|gives back" "$work/log"; then
        echo "$1 fails, but not by a rule: $4"
        cat "$work/log"
        exit 1
    fi
    echo "found: $4 ($(grep -m1 -oE 'broken rule: .*|gives back .*|failed \(status.*' "$work/log"))"
    faults=$((faults + 1))
}

seed fuzz-page vchan/ring.h 's/if (prod - ring->own > ring->size)/if (load_acquire(\&ring->shared->prod) - ring->own > ring->size)/' \
    "an index is checked, and then read again"
seed fuzz-page vchan/ring.h 's/if (ring->own - cons > ring->size)/if (0)/' \
    "the reader's index is not checked"
seed fuzz-page vchan/ring.h 's/ring->own & (ring->size - 1)/ring->own % 8192/' \
    "an index is masked with a wrong size"
seed fuzz-page vchan/bytes.c 's/^    bytes->broken = true;//' \
    "a corrupt ring is believed again"
seed fuzz-page vchan/ring.c '/^int ring_join/,/^}/s/^    ring_place(&end->in,.*/&\n    end->in.size = 1u << load_once(\&page->right_order) % 32;/' \
    "a size is read from the page again"
seed fuzz-page vchan/channel.c 's/^    give_back(channel, channel->right,.*//' \
    "a ring is not given back"
seed fuzz-page vchan/relay.c 's/ || ++calls >= STEP_CALLS/ || ++calls == 0/' \
    "a relay's step has no bound"
seed steps-close vchan/bytes.c '/over = bytes->ended/{h;d};/^        count = ring_readable(&end->in, enough);/{G}' \
    "the live byte is looked at after the ring" "write, then close"
seed steps-close vchan/bytes.c '/over = bytes->ended/{n;d}' \
    "the ring is not looked at again after the request for a signal" "write, then close"
seed steps-close vchan/bytes.c '/ring_request(end, VCHAN_NOTIFY_READ)/{n;d}' \
    "the room is not looked at again after the request for a signal" "wait for room, then close"
seed steps-close vchan/ring.h '/^static inline bool ring_must_signal/,/^}/s/^    full_fence();//' \
    "no fence between the index and the look at the request" "question and answer"
seed steps-close vchan/bytes.c '/^int bytes_writable/,/^}/s/bytes_publish(bytes);//' \
    "a writer waits and has not told what it read" "both rings full"
seed steps-close vchan/relay.c 's/^    channel_publish(relay->channel);//' \
    "a relay waits for its sink and has not told what it read" "a relay whose sink is full"
seed steps-close vchan/relay.c 's/^    channel_publish(relay->channel);/    if (!relay->sink_done)\n    &/' \
    "a relay has no sink any more and has not told what it read" "a relay whose sink breaks"
# seed_ring FILE SED-COMMAND WHAT FOUND: a fault in the ring for tests/unit/ring-tsan, which reports
# FOUND.
read -ra check <<< "$(pkg-config --cflags --libs check)"
seed_ring() {
    cp vchan/ring.h vchan/ring.c "$work/tree/vchan"
    sed -i "$2" "$work/tree/$1"
    if cmp -s "$1" "$work/tree/$1"; then
        echo "seed \"$3\": $1 has changed, and the fault does not fit in any more"
        exit 1
    fi
    ${CC:-cc} -std=gnu11 -O1 -D_GNU_SOURCE -Wno-tsan -fsanitize=thread -I "$work/tree" -I . \
        tests/unit/ring.c "$work/tree/vchan/ring.c" state/device.c -o "$work/test-ring" "${check[@]}"
    if timeout 900 "$work/test-ring" > "$work/log" 2>&1 || ! grep -q "$4" "$work/log"; then
        echo "test-ring-tsan does not find: $3"
        cat "$work/log"
        exit 1
    fi
    echo "found: $3 ($4)"
    faults=$((faults + 1))
}
seed_ring vchan/ring.c 's/(length < room ? length : room)/length/' \
    "bytes are claimed that were not read yet" "a_claim_leaves_what_is_unread"
seed_ring vchan/ring.h 's/store_release(&ring->shared->prod/store_once(\&ring->shared->prod/' \
    "bytes are shown before they are written" "data race"
seed_ring vchan/ring.h 's/store_release(&ring->shared->cons/store_once(\&ring->shared->cons/' \
    "bytes are given back before they are read" "data race"
seed_ring vchan/ring.h 's/prod = load_acquire(&ring->shared->prod)/prod = load_once(\&ring->shared->prod)/' \
    "bytes are read before their index" "data race"
seed_ring vchan/ring.h 's/cons = load_acquire(&ring->shared->cons)/cons = load_once(\&ring->shared->cons)/' \
    "bytes are overwritten before the reader's index is known" "data race"
echo "$faults faults, all found"
