# SPDX-License-Identifier: LGPL-2.1-or-later
EXTRA_PROGRAMS = bench/peer
bench_peer_SOURCES = bench/peer.c
bench_peer_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
bench_peer_LDADD = libpvchan.la libstate.la $(XENVCHAN_LIBS) $(XENEVTCHN_LIBS)
bench_peer_LDFLAGS = -no-install -rdynamic
CLEANFILES += bench/peer
EXTRA_DIST += bench/attach bench/bench

# On an idle machine; BENCH_OPTIONS=--quick is for a first look.
bench: all bench/peer
	PATH='$(abs_top_builddir):$(abs_top_builddir)/frontend':"$$PATH" \
		xensim run -- $(abs_top_srcdir)/bench/bench $(BENCH_OPTIONS) bench/peer
.PHONY: bench

bench-attach: all
	PATH='$(abs_top_builddir):$(abs_top_builddir)/frontend':"$$PATH" xensim run -- $(abs_top_srcdir)/bench/attach
.PHONY: bench-attach

# What many open channels cost: bench/many.c.
EXTRA_PROGRAMS += bench/many
bench_many_SOURCES = bench/many.c
bench_many_LDADD = libpvchan.la
bench_many_LDFLAGS = -no-install
CLEANFILES += bench/many
bench-many: all bench/many
	PATH='$(abs_top_builddir):$(abs_top_builddir)/frontend':"$$PATH" \
		xensim run --keep-going -- sh -e -c 'xensim limit 0 8192; \
			printf "name = \"echo\"\nmemory = 64\n" > bench/many.cfg; \
			xl create -q bench/many.cfg; rm bench/many.cfg; \
			bench/many $(BENCH_OPTIONS) echo $$(xl domid echo); \
			xl destroy echo; xenstore-rm data'
.PHONY: bench-many
