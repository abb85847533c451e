/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The entry points. The notes tell the domain builder where they are: a PV guest starts in 64-bit
 * code with page tables made, a PVH guest in 32-bit code without.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>

.macro NOTE_NUMBER type, value
        .long 4, 8, \type
        .asciz "Xen"
        .quad \value
.endm

.macro NOTE_TEXT type, text
        .long 4, 2f - 1f, \type
        .asciz "Xen"
1:      .asciz "\text"
2:      .balign 4
.endm

        .section .note.Xen, "a", @note
        NOTE_TEXT   XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
        NOTE_TEXT   XEN_ELFNOTE_GUEST_OS, "vchan-echo"
        NOTE_TEXT   XEN_ELFNOTE_LOADER, "generic"
        NOTE_TEXT   XEN_ELFNOTE_PAE_MODE, "yes"
        NOTE_NUMBER XEN_ELFNOTE_VIRT_BASE, 0
        NOTE_NUMBER XEN_ELFNOTE_PADDR_OFFSET, 0
        NOTE_NUMBER XEN_ELFNOTE_ENTRY, start_pv
        NOTE_NUMBER XEN_ELFNOTE_HYPERCALL_PAGE, hypercall_page
        NOTE_NUMBER XEN_ELFNOTE_PHYS32_ENTRY, start_pvh

        .bss
        .balign 4096
        .globl hypercall_page
hypercall_page:                         /* Xen fills it with 32 bytes of code for each hypercall. */
        .skip 4096
stack:
        .skip 16384
stack_end:
page_map: /* PVH: 4 GiB in pages of 2 MiB, virtual addresses equal to physical ones. */
        .skip 4096
page_directories:
        .skip 4096
page_directory:
        .skip 4 * 4096

/* ---- PV: rsi is start_info ---- */

        .text
        .code64
        .globl start_pv
start_pv:
        cld
        lea stack_end(%rip), %rsp
        mov %rsi, %rdi
        call pv_main

/*
 * An event came while the domain was blocked, the only time when events are not masked. Xen has
 * masked them and pushed a frame of rcx, r11, rip, cs, rflags, rsp and ss. We return with events
 * masked. In that cs Xen shows ring 0, but that is not our real ring.
 */
        .globl upcall_pv
upcall_pv:
        pop %rcx
        pop %r11
        orb $3, 8(%rsp)
        iretq

/* ---- PVH: 32-bit, no paging; ebx is hvm_start_info ---- */

#define CR0_PG_PE 0x80000001
#define CR4_PAE 0x20
#define EFER 0xc0000080
#define EFER_LME 0x100
#define PRESENT_WRITE 0x03
#define PRESENT_WRITE_LARGE 0x83
#define CODE_SELECTOR 8
#define DATA_SELECTOR 16

        .code32
        .globl start_pvh
start_pvh:
        cld
        mov $page_directory, %edi       /* 2048 pages of 2 MiB */
        mov $PRESENT_WRITE_LARGE, %eax
        mov $2048, %ecx
1:      mov %eax, (%edi)
        add $8, %edi
        add $0x200000, %eax
        loop 1b

        mov $page_directories, %edi
        mov $(page_directory + PRESENT_WRITE), %eax
        mov $4, %ecx
1:      mov %eax, (%edi)
        add $8, %edi
        add $4096, %eax
        loop 1b

        movl $(page_directories + PRESENT_WRITE), page_map

        mov $page_map, %eax
        mov %eax, %cr3
        mov %cr4, %eax
        or $CR4_PAE, %eax
        mov %eax, %cr4
        mov $EFER, %ecx
        rdmsr
        or $EFER_LME, %eax
        wrmsr
        mov %cr0, %eax
        or $CR0_PG_PE, %eax
        mov %eax, %cr0
        lgdt descriptors_pointer
        ljmp $CODE_SELECTOR, $1f

        .code64
1:      mov $DATA_SELECTOR, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        lea stack_end(%rip), %rsp
        mov %ebx, %edi
        call pvh_main

/*
 * Sleeps until an event comes; events are enabled only here. A real CPU delivers none between sti
 * and hlt, but QEMU sometimes does, and Xen treats a hlt with events masked (IF = 0) as the
 * domain's end. So an upcall inside this block returns to the instruction after hlt. QEMU also
 * delivers one later: that one returns where it came, because the stack then holds no address of
 * ours. An upcall's frame is rip, cs, rflags, rsp and ss; events stay masked after it.
 */
        .globl block_pvh
block_pvh:
        sti
        hlt
awake:  cli
        ret

        .globl upcall_pvh
upcall_pvh:
        cmpq $block_pvh, (%rsp)
        jb 1f
        cmpq $awake, (%rsp)
        ja 1f
        movq $awake, (%rsp)
1:      andl $~0x200, 16(%rsp)
        iretq

        .section .rodata
        .balign 8
descriptors:
        .quad 0
        .quad 0x00af9b000000ffff        /* 64-bit code */
        .quad 0x00cf93000000ffff        /* data */
descriptors_pointer:
        .word . - descriptors - 1
        .long descriptors
        .section .note.GNU-stack, "", @progbits
