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

EXTRA_DIST += $(MAN_SOURCES)

if HAVE_SCDOC
man_MANS += $(MAN_SOURCES:.scd=)
CLEANFILES += $(MAN_SOURCES:.scd=)
endif

SUFFIXES = .scd
# The man macros turn hyphenation on again after scdoc's .nh, and nobody finds "fron-tend_state".
.scd:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(SCDOC) < $< | sed 's/^\.nh$$/&\n.nr HY 0/' > $@.part && \
		grep -q '^\.nr HY 0' $@.part && mv $@.part $@
