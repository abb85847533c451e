# SPDX-License-Identifier: LGPL-2.1-or-later
MAN_SOURCES = man/pvchan.3.scd man/pvchan.7.scd
if COMMAND
MAN_SOURCES += man/vchan.1.scd
endif
if SERVICES
MAN_SOURCES += man/vchan-backend.8.scd man/vchan-frontend.8.scd
endif
if TOOLSTACK
MAN_SOURCES += man/xl-vchan.8.scd man/xl-vchan.cfg.5.scd
endif
if UNIKERNEL
MAN_SOURCES += man/vchan-echo.7.scd
endif
if SIM
MAN_SOURCES += man/xensim.1.scd
endif

EXTRA_DIST += $(MAN_SOURCES)

# Of each function, which pvchan(3) describes (tests/tree/installed.sh compares them with the header).
FUNCTION_PAGES = \
	man/pvchan_close.3 man/pvchan_commit.3 man/pvchan_consume.3 man/pvchan_dispatch.3 \
	man/pvchan_error.3 man/pvchan_fd.3 man/pvchan_flags.3 man/pvchan_group_add_channel.3 \
	man/pvchan_group_add_client.3 man/pvchan_group_add_server.3 man/pvchan_group_close.3 \
	man/pvchan_group_fd.3 man/pvchan_group_open.3 man/pvchan_group_wait.3 man/pvchan_open.3 \
	man/pvchan_open_client.3 man/pvchan_open_reason.3 man/pvchan_open_server.3 \
	man/pvchan_peek.3 man/pvchan_peer_domid.3 man/pvchan_read.3 man/pvchan_read_ring_size.3 \
	man/pvchan_readable_bytes.3 man/pvchan_readv.3 man/pvchan_reason.3 man/pvchan_recv.3 \
	man/pvchan_recvv.3 man/pvchan_requeue.3 man/pvchan_reserve.3 man/pvchan_send.3 \
	man/pvchan_sendv.3 man/pvchan_set_flags.3 man/pvchan_set_timeout.3 \
	man/pvchan_set_user_data.3 man/pvchan_shutdown.3 man/pvchan_state.3 man/pvchan_user_data.3 \
	man/pvchan_version.3 man/pvchan_wait.3 man/pvchan_writable_bytes.3 man/pvchan_write.3 \
	man/pvchan_write_ring_size.3 man/pvchan_writev.3

if HAVE_SCDOC
man_MANS += $(MAN_SOURCES:.scd=) $(FUNCTION_PAGES)
CLEANFILES += $(MAN_SOURCES:.scd=) $(FUNCTION_PAGES)
endif

$(FUNCTION_PAGES): man/local.mk
	$(AM_V_GEN)$(MKDIR_P) man && echo '.so man3/pvchan.3' > $@

SUFFIXES = .scd
# The man macros turn hyphenation on again after scdoc's .nh, and nobody finds "fron-tend_state".
.scd:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(SCDOC) < $< | sed 's/^\.nh$$/&\n.nr HY 0/' > $@.part && \
		grep -q '^\.nr HY 0' $@.part && mv $@.part $@
