/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/traffic.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolstack/tool.h"

const char *const traffic_names[TRAFFIC_COUNTS] = {
    [TRAFFIC_RECEIVED] = "received", [TRAFFIC_SENT] = "sent",
    [TRAFFIC_WAKES] = "wakes",       [TRAFFIC_SLEEPS] = "sleeps",
    [TRAFFIC_SINCE] = "since",       [TRAFFIC_CONNECTIONS] = "connections",
    [TRAFFIC_WAITING] = "waiting",   [TRAFFIC_STREAMS] = "streams",
    [TRAFFIC_OPENED] = "opened",     [TRAFFIC_REFUSED] = "refused",
    [TRAFFIC_RESET] = "reset",       [TRAFFIC_STORED] = "stored",
};

void traffic_path(const struct device_id *id, char path[DEVICE_PATH_MAX])
{
    snprintf(path, DEVICE_PATH_MAX, "/local/domain/%u/" TRAFFIC_DIR "/%u/%u", id->backend,
             id->frontend, id->devid);
}

static bool parse_count(const char *text, char **end, uint64_t *count)
{
    errno = 0;
    *count = strtoull(text, end, 10);
    return isdigit((unsigned char)*text) && errno == 0;
}

/* Takes "NAME=NUMBER ". Ignores names of a newer service. Returns false if malformed. */
static bool take_named_count(const char *text, struct traffic *traffic)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz-");
    uint64_t count;
    char *end;

    if (length == 0 || text[length] != '=' || !parse_count(text + length + 1, &end, &count) ||
        *end != ' ')
        return false;
    for (size_t i = 0; i < TRAFFIC_COUNTS; i++)
        if (strlen(traffic_names[i]) == length && memcmp(traffic_names[i], text, length) == 0)
            traffic->counts[i] = count;
    return true;
}

static bool parse(const char *text, struct traffic *traffic)
{
    for (; strncmp(text, "peer=", 5) != 0; text += strcspn(text, " ") + 1)
        if (!take_named_count(text, traffic))
            return false;
    snprintf(traffic->peer, sizeof(traffic->peer), "%.*s", (int)sizeof(traffic->peer) - 1,
             text + 5);
    text_clean(traffic->peer);
    return true;
}

void traffic_read(struct store *store, const struct device_id *id, struct traffic *traffic)
{
    char path[DEVICE_PATH_MAX], text[STORE_VALUE_MAX];

    *traffic = (struct traffic){.known = false};
    traffic_path(id, path);
    if (store_read_text(store, NULL, path, text, sizeof(text)) < 0)
        return;
    traffic->known = parse(text, traffic);
    if (!traffic->known)
        *traffic = (struct traffic){.known = false};
}

void traffic_short(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "KMGTPE";
    const char *unit = units;
    double value = (double)bytes / 1024;

    if (bytes < 1000) {
        snprintf(text, size, "%u", (unsigned int)bytes);
        return;
    }
    while (value >= 999.5) {
        value /= 1024;
        unit++;
    }
    snprintf(text, size, value < 9.95 ? "%.1f%c" : "%.0f%c", value, *unit);
}
