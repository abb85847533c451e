/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool device_name_valid(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return length >= 1 && length <= DEVICE_NAME_MAX && text[length] == '\0';
}

off_t device_side_number(domid_t peer, uint32_t devid)
{
    return (off_t)peer * (DEVICE_ID_MAX + 1) + devid;
}

void device_frontend_path(const struct device_id *id, char path[DEVICE_PATH_MAX])
{
    snprintf(path, DEVICE_PATH_MAX, "/local/domain/%u/device/vchan/%u", id->frontend, id->devid);
}

void device_backend_path(const struct device_id *id, char path[DEVICE_PATH_MAX])
{
    snprintf(path, DEVICE_PATH_MAX, "/local/domain/%u/backend/vchan/%u/%u", id->backend,
             id->frontend, id->devid);
}

void device_libxl_path(const struct device_id *id, char path[DEVICE_PATH_MAX])
{
    snprintf(path, DEVICE_PATH_MAX, "/libxl/%u/device/vchan/%u", id->frontend, id->devid);
}

static uint16_t order_of_pages(size_t size)
{
    uint16_t order = RING_ORDER_PAGE;

    while (((size_t)1 << order) < size)
        order++;
    return order;
}

int ring_orders_for(size_t read_size, size_t write_size, struct ring_orders *orders)
{
    const size_t small = 1u << 10, large = 1u << 11;

    if (read_size > RING_SIZE_MAX || write_size > RING_SIZE_MAX)
        return -ERANGE;

    orders->read = order_of_pages(read_size);
    orders->write = order_of_pages(write_size);
    if (read_size <= small && write_size <= large) {
        orders->read = 10;
        orders->write = 11;
    } else if (read_size <= large && write_size <= small) {
        orders->read = 11;
        orders->write = 10;
    } else if (read_size <= large) {
        orders->read = 11;
    } else if (write_size <= large) {
        orders->write = 11;
    }
    return 0;
}

bool ring_orders_valid(unsigned int left, unsigned int right)
{
    if (left < RING_ORDER_MIN || left > RING_ORDER_MAX)
        return false;
    if (right < RING_ORDER_MIN || right > RING_ORDER_MAX)
        return false;
    return left != right || left >= RING_ORDER_PAGE;
}
