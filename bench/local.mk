# SPDX-License-Identifier: LGPL-2.1-or-later
EXTRA_PROGRAMS = bench/clients bench/peer bench/limit bench/many
bench_clients_SOURCES = bench/clients.c
bench_peer_SOURCES = bench/peer.c
bench_peer_CPPFLAGS = $(AM_CPPFLAGS) $(XENVCHAN_CFLAGS)
bench_peer_LDADD = libpvchan.la libstate.la $(XENVCHAN_LIBS) $(XENEVTCHN_LIBS)
bench_peer_LDFLAGS = -no-install -rdynamic
bench_limit_SOURCES = bench/limit.c
bench_limit_LDADD = libvchan.la libstate.la
bench_many_SOURCES = bench/many.c
bench_many_LDADD = libpvchan.la
bench_many_LDFLAGS = -no-install
CLEANFILES += bench/clients bench/peer bench/limit bench/many bench/run.json bench/many.json
EXTRA_DIST += bench/attach bench/bench bench/report

ON_SIM = PATH='$(abs_top_builddir):$(abs_top_builddir)/cli':"$$PATH" xensim run

# Everything, on an idle machine, in about six minutes; BENCH_OPTIONS=--quick gives a first
# impression. bench-doc then writes the results into doc/performance.md, with a plot, which needs
# gnuplot.
bench: bench-run bench-many
	$(top_srcdir)/bench/report --many bench/many.json bench/run.json
bench-doc:
	$(top_srcdir)/bench/report --many bench/many.json --plot $(top_srcdir)/doc/performance.svg \
		--into $(top_srcdir)/doc/performance.md bench/run.json
.PHONY: bench bench-doc

bench-run: all bench/peer bench/limit
	$(ON_SIM) -- $(abs_top_srcdir)/bench/bench $(BENCH_OPTIONS) --json bench/run.json bench/peer bench/limit
.PHONY: bench-run

bench-attach: all
	$(ON_SIM) -- $(abs_top_srcdir)/bench/attach
.PHONY: bench-attach

# The cost of many open channels: bench/many.c.
bench-many: all bench/many
	$(ON_SIM) --keep-going -- sh -e -c 'xensim limit 0 8192; \
		printf "name = \"echo\"\nmemory = 64\n" > bench/many.cfg; \
		xl create -q bench/many.cfg; rm bench/many.cfg; \
		bench/many --json $(MANY_OPTIONS) echo $$(xl domid echo) > bench/many.json; \
		xl destroy echo; xenstore-rm data'
.PHONY: bench-many

# Many connections through one channel, beside one connection, HAProxy and socat.
bench-streams: all bench/clients
	PATH='$(abs_top_builddir)/bench':"$$PATH" $(ON_SIM) -- $(abs_top_srcdir)/bench/streams
.PHONY: bench-streams
EXTRA_DIST += bench/streams

# What a guest keeps beside a hostile one.
bench-hostile: all tests/programs/hostile
	PATH='$(abs_top_builddir)/tests/programs':"$$PATH" $(ON_SIM) -- $(abs_top_srcdir)/bench/hostile
.PHONY: bench-hostile
EXTRA_DIST += bench/hostile

# The cost of many channels in one vchan-backend.
bench-scale: all
	$(ON_SIM) -- $(abs_top_srcdir)/bench/scale
.PHONY: bench-scale
EXTRA_DIST += bench/scale
