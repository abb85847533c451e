# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += tests/test-config
TESTS += tests/test-config
tests_test_config_SOURCES = tests/test-config.c
tests_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_config_LDADD = libtoolstack.la $(CHECK_LIBS)

check_PROGRAMS += tests/test-device tests/test-machine tests/test-ring
TESTS += tests/test-device tests/test-machine tests/test-ring
EXTRA_DIST += tests/check-main.h

tests_test_device_SOURCES = tests/test-device.c
tests_test_device_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_device_LDADD = libstate.la $(CHECK_LIBS)

tests_test_machine_SOURCES = tests/test-machine.c tests/explore.c tests/explore.h
tests_test_machine_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_machine_LDADD = libstate.la $(CHECK_LIBS)

tests_test_ring_SOURCES = tests/test-ring.c
tests_test_ring_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_ring_LDADD = libvchan.la libstate.la $(CHECK_LIBS)
