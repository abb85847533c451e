# SPDX-License-Identifier: LGPL-2.1-or-later
# The echo domain is a kernel, so the flags for programs do not apply. It is small: one command
# builds it.
if X86_64
echodir = $(libdir)/pvchan
echo_DATA = unikernel/vchan-echo.elf
CLEANFILES += unikernel/vchan-echo.elf

UNIKERNEL_C = unikernel/start.S \
	unikernel/main.c unikernel/pv.c unikernel/pvh.c unikernel/memory.c unikernel/grant.c \
	unikernel/event.c unikernel/console.c unikernel/store.c unikernel/channel.c \
	unikernel/server.c unikernel/device.c unikernel/options.c unikernel/text.c unikernel/libc.c \
	vchan/bytes.c vchan/ring.c state/machine.c state/device.c state/xenbus.c
UNIKERNEL_H = unikernel/channel.h unikernel/console.h unikernel/device.h unikernel/event.h \
	unikernel/grant.h unikernel/hypercall.h unikernel/memory.h unikernel/options.h \
	unikernel/platform.h unikernel/server.h unikernel/store.h unikernel/text.h \
	vchan/bytes.h vchan/ring.h vchan/barrier.h vchan/copy.h state/machine.h state/device.h state/xenbus.h

# No library, no floating point, no data below the stack pointer (Xen pushes there), fixed
# addresses.
UNIKERNEL_COMPILE = $(PVCHAN_WARNINGS) -O2 -std=gnu11 -ffreestanding -fno-pic -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
	-fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -U_FORTIFY_SOURCE \
	-D__XEN_INTERFACE_VERSION__=0x00040e00 -I$(top_srcdir)
UNIKERNEL_LINK = -nostdlib -static -no-pie -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -T $(srcdir)/unikernel/link.ld

unikernel/vchan-echo.elf: $(UNIKERNEL_C) $(UNIKERNEL_H) unikernel/link.ld
	@$(MKDIR_P) unikernel
	$(AM_V_CCLD)sources=; for file in $(UNIKERNEL_C); do \
		sources="$$sources $(srcdir)/$$file"; done; \
	$(CC) $(UNIKERNEL_COMPILE) $(UNIKERNEL_LINK) -o $@ $$sources
endif
EXTRA_DIST += $(UNIKERNEL_C) $(UNIKERNEL_H) unikernel/link.ld
