# SPDX-License-Identifier: LGPL-2.1-or-later
# Helpers that run inside the lab's domains. lab/run uses them; they are not installed.
noinst_PROGRAMS += lab/granted lab/guest-agent lab/guest-exec lab/lvcat
lab_granted_SOURCES = lab/granted.c
lab_guest_agent_SOURCES = lab/guest-agent.c lab/exec-link.c lab/exec-link.h
lab_guest_agent_LDADD = $(XENSTORE_LIBS)
lab_guest_exec_SOURCES = lab/guest-exec.c lab/exec-link.c lab/exec-link.h
lab_guest_exec_LDADD = $(XENSTORE_LIBS)
lab_lvcat_SOURCES = lab/lvcat.c
lab_lvcat_LDADD = $(XENVCHAN_LIBS) $(XENSTORE_LIBS)

# Delivered with each scenario, not in the image, because it needs the product's library.
noinst_PROGRAMS += lab/echo-client
lab_echo_client_SOURCES = lab/echo-client.c
lab_echo_client_LDADD = libpvchan.la
lab_echo_client_LDFLAGS = -no-install

EXTRA_DIST += lab/README.md lab/run lab/images lab/machine lab/dom0-init lab/serve lab/lab.service lab/guest-init \
	lab/guest.cfg lab/session.sh lab/on-xen.sh lab/on-xen.bash lab/vocabulary.sh lab/tests \
	lab/echo-domain.sh lab/bench lab/measure

# A module that is not installed; -rpath makes libtool build a shared one.
noinst_LTLIBRARIES += lab/break-handshake.la
lab_break_handshake_la_SOURCES = lab/break-handshake.c
lab_break_handshake_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default
lab_break_handshake_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

# Scenarios that need no more than xensim offers; they run there, too (tests/lib/on-sim.sh).
SCENARIOS = lab/tests/channel.sh lab/tests/daemon.sh lab/tests/deaths.sh lab/tests/domains.sh \
	lab/tests/frontend.sh \
	lab/tests/guest-to-guest.sh lab/tests/interop.sh lab/tests/libxenvchan.sh lab/tests/many.sh \
	lab/tests/permissions.sh lab/tests/reattach.sh lab/tests/rings.sh lab/tests/streams.sh
TESTS += $(SCENARIOS)
