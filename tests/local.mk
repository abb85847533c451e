# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += tests/test-config
TESTS += tests/test-config
tests_test_config_SOURCES = tests/test-config.c
tests_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_test_config_LDADD = libtoolstack.la $(CHECK_LIBS)
