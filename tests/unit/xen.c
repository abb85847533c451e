/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel whose pages are larger than grants. The test replaces the kernel. */
#include <errno.h>
#include <unistd.h>

#include "state/error.h"
#include "tests/lib/check-main.h"
#include "vchan/xen.h"

static int page_size;

int getpagesize(void)
{
    return page_size;
}

static const int sizes[] = {16384, 65536};

START_TEST(refuses_larger_pages)
{
    struct xen *xen;

    page_size = sizes[_i];
    ck_assert_int_eq(xen_open(&xen), -EMEDIUMTYPE);
    ck_assert_ptr_null(xen);
    ck_assert_str_eq(error_text(-EMEDIUMTYPE), "this kernel's page size is not 4096 bytes, the "
                                               "size of a grant (see pvchan(7), LIMITS)");
}
END_TEST

/* It gets as far as opening the device, whether there is one or not. */
START_TEST(takes_pages_like_grants)
{
    struct xen *xen;

    page_size = 4096;
    ck_assert_int_ne(xen_open(&xen), -EMEDIUMTYPE);
    xen_close(xen);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("xen");

    tcase_add_loop_test(tcase, refuses_larger_pages, 0, sizeof(sizes) / sizeof(sizes[0]));
    tcase_add_test(tcase, takes_pages_like_grants);
    return check_main("xen", tcase);
}
