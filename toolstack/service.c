/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "toolstack/traffic.h"

/* Held by vchan-backend as long as it runs. */
#define SERVICE_LOCK "/run/pvchan/vchan-backend"

/*
 * The kernel's list tells who has a lock. Trying to take it would tell too, but a service that
 * starts at that moment would find it taken.
 */
static bool is_locked(const char *path)
{
    struct stat status;
    char place[64], line[256];
    bool found = false;
    FILE *locks;

    if (stat(path, &status) < 0)
        return false;
    locks = fopen("/proc/locks", "re");
    if (!locks)
        return false;
    snprintf(place, sizeof(place), " %02x:%02x:%llu ", major(status.st_dev), minor(status.st_dev),
             (unsigned long long)status.st_ino);
    while (!found && fgets(line, sizeof(line), locks))
        found = strstr(line, " FLOCK ") && !strstr(line, " -> ") && strstr(line, place);
    fclose(locks);
    return found;
}

enum service_state service_look(const struct tool *tool, domid_t domid)
{
    char path[DEVICE_PATH_MAX];

    snprintf(path, sizeof(path), "/local/domain/%u/" TRAFFIC_DIR, domid);
    if (domid != tool->own)
        return store_exists(tool->store, NULL, path) ? SERVICE_UNKNOWN : SERVICE_UNSEEN;
    return is_locked(SERVICE_LOCK) ? SERVICE_UP : SERVICE_DOWN;
}

void service_words(struct tool *tool, domid_t domid, char words[SERVICE_WORDS_MAX])
{
    static const struct {
        const char *before, *after;
    } texts[] = {
        [SERVICE_UNKNOWN] = {"is vchan-backend running in ", "?"},
        [SERVICE_UNSEEN] = {"no vchan-backend seems to run in ",
                            " (systemctl start vchan-backend there)"},
        [SERVICE_DOWN] = {"no vchan-backend runs in ", " (systemctl start vchan-backend)"},
        [SERVICE_UP] = {"vchan-backend in ", " does not react (its log may tell why)"},
    };
    enum service_state state = service_look(tool, domid);
    char domain[TOOL_NAME_MAX];

    tool_domain_name(tool, domid, domain);
    snprintf(words, SERVICE_WORDS_MAX, "%s%s%s", texts[state].before, domain, texts[state].after);
}
