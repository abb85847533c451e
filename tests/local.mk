# SPDX-License-Identifier: LGPL-2.1-or-later
# How every test runs. The folders' own files list the tests.

LOG_DRIVER = $(SHELL) $(top_srcdir)/tests/lib/driver
SH_LOG_DRIVER = $(LOG_DRIVER)
EXTRA_DIST += tests/run tests/static tests/coverage .clang-tidy .codespellignore .editorconfig .shellcheckrc
# A limit for Check tests that hang. Check's own 4 seconds are too few for valgrind on a busy
# machine.
if ASAN
SANITIZED = yes
endif
AM_TESTS_ENVIRONMENT = \
	srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' SANITIZED='$(SANITIZED)' \
	PATH='$(abs_top_builddir)/tests/programs:$(abs_top_builddir)':"$$PATH"; \
	ASAN_OPTIONS=handle_sigill=1; \
	LSAN_OPTIONS=suppressions='$(abs_top_srcdir)/tests/lib/lsan.supp':print_suppressions=0; \
	CK_DEFAULT_TIMEOUT=600; \
	export srcdir builddir SANITIZED PATH ASAN_OPTIONS LSAN_OPTIONS CK_DEFAULT_TIMEOUT;

# Tests that also run under valgrind.
VALGRIND_TESTS = $(MODEL_TESTS)

# Searches, repetitions and faults at every step, which keep a CPU busy for minutes: make check leaves
# them to make check-searches. tests/run runs both.
SEARCHES =

# TESTS start in this order.
include tests/lib/local.mk
include tests/unit/local.mk
include tests/tree/local.mk
include tests/programs/local.mk
include tests/api/local.mk
include tests/sim/local.mk
include tests/model/local.mk

# automake makes rules only for the logs of what it sees in TESTS.
if SEARCHES_TOO
TESTS += $(SEARCHES)
endif
# A log of its own, since make check removes the other.
check-searches:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(SEARCHES)' TEST_SUITE_LOG=searches.log
.PHONY: check-searches

# libtool's programs run directly, not through its wrapper script.
check-valgrind: $(VALGRIND_TESTS)
	EXPLORE_CRASHES=1 FUZZ_SCRIPTS=300 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(VALGRIND_TESTS)' \
		LOG_COMPILER='$(LIBTOOL) --mode=execute $(VALGRIND) -q --error-exitcode=99 \
		--leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=no'
.PHONY: check-valgrind

# What programs find that only read the source; CHECKS names some of its checks. With the flags of everything at once,
# since it looks at each file once, and from the source's folder.
STATIC_FLAGS = -std=gnu11 $(PVCHAN_WARNINGS) $(DEFS) -I$(abs_top_builddir) $(AM_CPPFLAGS) \
	-I$(top_srcdir)/libpvchan $(SIM_PLACES) -DSYSCONFDIR='"$(sysconfdir)"' \
	$(XENLIGHT_CFLAGS) $(XLUTIL_CFLAGS) $(XENTOOLLOG_CFLAGS) $(XENCONTROL_CFLAGS) $(XENVCHAN_CFLAGS) \
	$(EVENT_CFLAGS) $(JSON_CFLAGS) $(NCURSES_CFLAGS) $(CHECK_CFLAGS)
check-static:
	@srcdir='$(abs_top_srcdir)' $(top_srcdir)/tests/static $(CHECKS) -- \
		$(subst -I$(top_srcdir),-I.,$(STATIC_FLAGS) -- $(UNIKERNEL_COMPILE))
.PHONY: check-static

# Which lines of the product the tests reach, in a build of its own. A program that is killed writes no counts, and one
# that another user runs cannot: what is said to be reached is, but not the reverse. -O2 forgets functions.
# Two tests mind the umask, and what programs of other users say of counts that they cannot write.
COVERAGE_TESTS = $(UNIT_TESTS) $(MODEL_TESTS) $(SIM_TESTS) $(SCENARIOS)
NOT_COVERED = tests/unit/connection tests/sim/backend-inherited.sh
coverage:
	$(MKDIR_P) coverage
	cd coverage && { [ -f Makefile ] || \
		'$(abs_top_srcdir)/configure' -q --enable-coverage --disable-hardening CFLAGS='-g -Og'; }
	cd coverage && $(MAKE) $(AM_MAKEFLAGS) all && $(MAKE) $(AM_MAKEFLAGS) check TESTS=
	find coverage -name '*.gcda' -exec rm {} +
	@(cd coverage && umask 0 && \
		GCOV_ERROR_FILE=/dev/null $(MAKE) $(AM_MAKEFLAGS) -k check \
			TESTS='$(filter-out $(NOT_COVERED),$(COVERAGE_TESTS))'); code=$$?; \
	$(top_srcdir)/tests/coverage coverage && exit $$code
.PHONY: coverage

# What takes too long to be done before each merge. The tarball is tried with what needs no other user, no other
# machine and no long search: what the source says of itself, the units, and one run of everything together.
DIST_TESTS = $(UNIT_TESTS) $(TREE_TESTS) $(TREE_ONCE_TESTS) tests/sim/demo.sh
check-dist:
	$(MAKE) $(AM_MAKEFLAGS) distcheck TESTS='$(DIST_TESTS)'
check-long: check-static check-dist
	$(MAKE) $(AM_MAKEFLAGS) fuzz FUZZ_SECONDS=1800
	$(MAKE) $(AM_MAKEFLAGS) hostile
	$(MAKE) $(AM_MAKEFLAGS) coverage
.PHONY: check-dist check-long

clean-local:
	rm -rf static coverage
