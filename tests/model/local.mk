# SPDX-License-Identifier: LGPL-2.1-or-later
# Searches through states, interleavings and hostile pages.
MODEL_TESTS = tests/model/fuzz-page tests/model/fuzz-streams tests/model/machine
check_PROGRAMS += $(MODEL_TESTS)
TESTS += $(MODEL_TESTS)

tests_model_machine_SOURCES = tests/model/machine.c tests/model/explore.c tests/model/explore.h
tests_model_machine_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
tests_model_machine_LDADD = libstate.la $(CHECK_LIBS)

# Every interleaving of two sides that carry streams, with deaths of either.
tests_model_streams_SOURCES = tests/model/streams.c
tests_model_streams_CPPFLAGS = $(AM_CPPFLAGS)
tests_model_streams_LDADD = libvchan.la
check_PROGRAMS += tests/model/streams

# Every interleaving of two sides, above all of closes. Sanitizers see the same code in
# tests/model/fuzz-page, in a hundredth of the time.
tests_model_steps_close_SOURCES = \
	tests/model/steps-close.c tests/model/steps.c tests/model/steps.h $(SHARED_FILES)
tests_model_steps_close_CPPFLAGS = $(SHARED_CPPFLAGS)
# it takes a jump to another stack for a fault
tests_model_steps_close_CFLAGS = $(PVCHAN_CFLAGS) -U_FORTIFY_SOURCE
check_PROGRAMS += tests/model/steps-close
# seeded-faults compiles what it tests by itself, with flags of its own, so once is enough.
if !ASAN
SEARCHES += tests/model/streams tests/model/steps-close tests/model/seeded-faults.sh
endif
EXTRA_DIST += tests/model/seeded-faults.sh

# Hostile pages: scripts in tests/model/corpus/page, and random ones.
tests_model_fuzz_page_SOURCES = \
	tests/model/fuzz-page.c tests/model/fuzz-page.h tests/model/fuzz-replay.c $(SHARED_FILES)
tests_model_fuzz_page_CPPFLAGS = $(SHARED_CPPFLAGS)
EXTRA_DIST += tests/model/corpus

# Hostile frames: random scripts.
tests_model_fuzz_streams_SOURCES = \
	tests/model/fuzz-streams.c vchan/stream-relay.c vchan/streams.c $(SHARED_FILES)
tests_model_fuzz_streams_CPPFLAGS = $(SHARED_CPPFLAGS)

# The same with libFuzzer, which needs clang; `make fuzz FUZZ_SECONDS=1800` is the long run. It
# starts from tests/model/corpus/page and stores new scripts in fuzz-corpus/, and one that breaks a
# rule in crash-*. `make fuzz-streams` is the same for streams.
FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_FILES = $(tests_model_fuzz_page_SOURCES:tests/model/fuzz-replay.c=)
tests/fuzz-page-libfuzzer: $(FUZZ_FILES) $(libvchan_la_SOURCES)
	$(AM_V_CC)$(MKDIR_P) tests && $(FUZZ_CC) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(DEFS) -I. $(SHARED_CPPFLAGS) -o $@ $(addprefix $(srcdir)/,$(filter %.c,$(FUZZ_FILES)))
fuzz: tests/fuzz-page-libfuzzer
	mkdir -p fuzz-corpus
	nice -n 19 tests/fuzz-page-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=400 \
		-print_final_stats=1 fuzz-corpus $(srcdir)/tests/model/corpus/page
tests/fuzz-streams-libfuzzer: $(tests_model_fuzz_streams_SOURCES)
	$(AM_V_CC)$(MKDIR_P) tests && $(FUZZ_CC) -std=gnu11 -O1 -g -fno-omit-frame-pointer \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -DLIBFUZZER \
		$(DEFS) -I. $(SHARED_CPPFLAGS) -o $@ \
		$(addprefix $(srcdir)/,$(filter %.c,$(tests_model_fuzz_streams_SOURCES)))
fuzz-streams: tests/fuzz-streams-libfuzzer
	mkdir -p fuzz-streams-corpus
	nice -n 19 tests/fuzz-streams-libfuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=1000 \
		-print_final_stats=1 fuzz-streams-corpus
.PHONY: fuzz fuzz-streams
CLEANFILES += tests/fuzz-page-libfuzzer tests/fuzz-streams-libfuzzer fuzz-page.broken
