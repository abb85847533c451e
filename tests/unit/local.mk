# SPDX-License-Identifier: LGPL-2.1-or-later
# Unit tests (Check), one for each module. They need no Xen.
UNIT_TESTS = \
	tests/unit/account tests/unit/agent-config tests/unit/cgroup tests/unit/command \
	tests/unit/config \
	tests/unit/connection tests/unit/device tests/unit/echo tests/unit/endpoint tests/unit/fdstore \
	tests/unit/journal tests/unit/lock \
	tests/unit/notify tests/unit/pace tests/unit/packets \
	tests/unit/relay tests/unit/ring tests/unit/spin tests/unit/stream-relay tests/unit/streams \
	tests/unit/turns tests/unit/unikernel \
	tests/unit/unikernel-device tests/unit/watches tests/unit/xen
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
VALGRIND_TESTS += $(UNIT_TESTS)

# Its own getpwnam() stands before that of the C library.
tests_unit_account_SOURCES = tests/unit/account.c
tests_unit_account_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_account_LDADD = libservice.la $(CHECK_LIBS)

tests_unit_agent_config_SOURCES = tests/unit/agent-config.c
tests_unit_agent_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_agent_config_LDADD = libagent.la $(CHECK_LIBS)

# Its own functions stand before those of the C library.
tests_unit_cgroup_SOURCES = tests/unit/cgroup.c service/cgroup.c service/log.c service/usage-error.c
tests_unit_cgroup_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_cgroup_LDADD = libstate.la $(CHECK_LIBS) $(EVENT_LIBS)

tests_unit_command_SOURCES = tests/unit/command.c
tests_unit_command_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_command_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_unit_config_SOURCES = tests/unit/config.c
tests_unit_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_config_LDADD = libtoolstack.la $(CHECK_LIBS)

tests_unit_connection_SOURCES = tests/unit/connection.c
tests_unit_connection_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_connection_LDADD = libservice.la $(CHECK_LIBS)

tests_unit_device_SOURCES = tests/unit/device.c
tests_unit_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_device_LDADD = libstate.la $(CHECK_LIBS)

# Its own functions replace those of libpvchan.
tests_unit_echo_SOURCES = tests/unit/echo.c
tests_unit_echo_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_echo_LDADD = libcommand.la libpvchan.la $(CHECK_LIBS)

tests_unit_endpoint_SOURCES = tests/unit/endpoint.c state/claims.c state/device.c \
	state/endpoint.c state/endpoint-acts.c state/error.c state/machine.c state/xenbus.c
tests_unit_endpoint_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
# What is written just before it is freed is written all the same: the test looks at it then.
tests_unit_endpoint_CFLAGS = $(PVCHAN_CFLAGS) -fno-builtin-free -fno-tree-dse
tests_unit_endpoint_LDADD = $(CHECK_LIBS)
tests_unit_endpoint_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free

tests_unit_fdstore_SOURCES = tests/unit/fdstore.c
tests_unit_fdstore_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_fdstore_LDADD = libservice.la $(CHECK_LIBS)

# Its own functions replace those of the channel.
tests_unit_journal_SOURCES = tests/unit/journal.c service/worker/journal.c vchan/relay.c
tests_unit_journal_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_journal_LDADD = $(CHECK_LIBS)

tests_unit_lock_SOURCES = tests/unit/lock.c state/descriptor.c state/lock.c
tests_unit_lock_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_lock_LDADD = $(CHECK_LIBS)

tests_unit_notify_SOURCES = tests/unit/notify.c state/notify.c
tests_unit_notify_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_notify_LDADD = $(CHECK_LIBS)

tests_unit_packets_SOURCES = tests/unit/packets.c service/packets.c
tests_unit_packets_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_packets_LDADD = $(CHECK_LIBS)

tests_unit_pace_SOURCES = tests/unit/pace.c vchan/pace.c
tests_unit_pace_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_pace_LDADD = $(CHECK_LIBS)

tests_unit_stream_relay_SOURCES = \
	tests/unit/stream-relay.c vchan/stream-relay.c vchan/streams.c $(SHARED_FILES)
tests_unit_stream_relay_CPPFLAGS = $(SHARED_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_stream_relay_LDADD = $(CHECK_LIBS)

tests_unit_streams_SOURCES = tests/unit/streams.c
tests_unit_streams_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_streams_LDADD = libvchan.la $(CHECK_LIBS)

tests_unit_relay_SOURCES = tests/unit/relay.c $(SHARED_FILES)
tests_unit_relay_CPPFLAGS = $(SHARED_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_relay_LDADD = $(CHECK_LIBS)

tests_unit_ring_SOURCES = tests/unit/ring.c
tests_unit_ring_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_ring_LDADD = libvchan.la libstate.la $(CHECK_LIBS)

tests_unit_spin_SOURCES = tests/unit/spin.c vchan/spin.c vchan/trial.c
tests_unit_spin_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_spin_LDADD = $(CHECK_LIBS)

tests_unit_turns_SOURCES = tests/unit/turns.c backend/turns.c
tests_unit_turns_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_turns_LDADD = $(CHECK_LIBS)

tests_unit_watches_SOURCES = tests/unit/watches.c state/watches.c
tests_unit_watches_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_watches_LDADD = $(CHECK_LIBS)

tests_unit_unikernel_SOURCES = tests/unit/unikernel.c unikernel/channel.c unikernel/options.c \
	unikernel/store.c unikernel/text.c state/device.c vchan/bytes.c vchan/ring.c
tests_unit_unikernel_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) -D__XEN_INTERFACE_VERSION__=0x00040e00
tests_unit_unikernel_LDADD = $(CHECK_LIBS)

tests_unit_unikernel_device_SOURCES = tests/unit/unikernel-device.c unikernel/channel.c \
	unikernel/device.c unikernel/text.c state/device.c state/machine.c state/xenbus.c \
	vchan/bytes.c vchan/ring.c
tests_unit_unikernel_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) \
	-D__XEN_INTERFACE_VERSION__=0x00040e00
tests_unit_unikernel_device_LDADD = $(CHECK_LIBS)

tests_unit_xen_SOURCES = tests/unit/xen.c
tests_unit_xen_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_xen_LDADD = libvchan.la libstate.la $(CHECK_LIBS)

# Another user's attacks on paths: thousands of processes, too slow for valgrind, and hundreds with
# sanitizers.
check_PROGRAMS += tests/unit/races
if ASAN
TESTS += tests/unit/races
else
SEARCHES += tests/unit/races
endif
tests_unit_races_SOURCES = tests/unit/races.c
tests_unit_races_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_races_LDADD = libservice.la $(CHECK_LIBS)
tests_unit_races_LDFLAGS = -no-install

# Its other processes are this program, too, and end by signals, which valgrind would report.
check_PROGRAMS += tests/unit/hostile-worker
TESTS += tests/unit/hostile-worker
tests_unit_hostile_worker_SOURCES = tests/unit/hostile-worker.c
tests_unit_hostile_worker_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS)
tests_unit_hostile_worker_LDADD = libservice.la $(CHECK_LIBS)
tests_unit_hostile_worker_LDFLAGS = -no-install

# The long run: ten minutes of random ones.
hostile: tests/unit/hostile-worker
	HOSTILE_SECONDS=600 tests/unit/hostile-worker
.PHONY: hostile

# The filter would kill what valgrind and sanitizers do beside the program.
check_PROGRAMS += tests/unit/sandbox
if !ASAN
TESTS += tests/unit/sandbox
endif
tests_unit_sandbox_SOURCES = tests/unit/sandbox.c service/sandbox.c
tests_unit_sandbox_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS) $(SECCOMP_CFLAGS)
tests_unit_sandbox_LDADD = $(CHECK_LIBS) $(SECCOMP_LIBS)

# tests/unit/ring with ThreadSanitizer: two threads at the two ends of a page, without data races.
# (ThreadSanitizer ignores fences, but no data depends on one: they only decide about signals.)
if !ASAN
check_PROGRAMS += tests/unit/ring-tsan
TESTS += tests/unit/ring-tsan
endif
tests_unit_ring_tsan_SOURCES = tests/unit/ring.c vchan/ring.c state/device.c
tests_unit_ring_tsan_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_unit_ring_tsan_CFLAGS = $(PVCHAN_CFLAGS) -Wno-tsan -fsanitize=thread
tests_unit_ring_tsan_LDADD = $(CHECK_LIBS)
