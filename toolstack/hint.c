/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/hint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "toolstack/port.h"

/* What a rule knows. */
struct scene {
    struct tool *tool;
    const struct view *view;
    enum xenbus_state frontend, backend;
    bool is_app; /* an application opens the backend's side, no service */
    struct hint *hint;
};

/* A rule has found something: true, for its caller to return. */
__attribute__((format(printf, 3, 4))) static bool say(const struct scene *scene, bool trouble,
                                                      const char *format, ...)
{
    va_list args;

    scene->hint->trouble = trouble;
    va_start(args, format);
    vsnprintf(scene->hint->text, sizeof(scene->hint->text), format, args);
    va_end(args);
    return true;
}

/* The same, about whoever should serve it. */
static bool blame(const struct scene *scene, const char *what)
{
    char words[SERVICE_WORDS_MAX];

    if (scene->is_app)
        return say(scene, true, "%s: the program in %s that opened it is gone", what,
                   scene->view->backend);
    service_words(scene->tool, scene->view->id.backend, words);
    return say(scene, true, "%s: %s", what, words);
}

static bool is_down(const struct scene *scene)
{
    return !scene->is_app && service_look(scene->tool, scene->view->id.backend) == SERVICE_DOWN;
}

/* --- the rules --- */

static bool lost_frontend(const struct scene *scene)
{
    const struct device_id *id = &scene->view->id;

    return scene->view->texts[VIEW_FRONTEND_STATE][0] == '\0' &&
           !tool_has_domain(scene->tool, id->frontend) &&
           say(scene, true, "its domain is gone (xl-vchan detach %u %u removes what is left)",
               id->frontend, id->devid);
}

static bool lost_backend(const struct scene *scene)
{
    const struct device_id *id = &scene->view->id;

    return scene->view->texts[VIEW_BACKEND_STATE][0] == '\0' &&
           id->backend != DEVICE_BACKEND_UNKNOWN && !tool_has_domain(scene->tool, id->backend) &&
           say(scene, true,
               "its backend's domain is gone (xl-vchan detach %u %u removes what is left)",
               id->frontend, id->devid);
}

static bool lost_part(const struct scene *scene)
{
    const struct device_id *id = &scene->view->id;

    return (scene->view->texts[VIEW_FRONTEND_STATE][0] == '\0' ||
            scene->view->texts[VIEW_BACKEND_STATE][0] == '\0') &&
           say(scene, true, "only a part of it is left (xl-vchan detach --force %u %u removes it)",
               id->frontend, id->devid);
}

static bool is_unplugged(const struct scene *scene)
{
    if (strcmp(scene->view->texts[VIEW_ONLINE], "0") != 0)
        return false;
    if (scene->backend == XenbusStateClosed)
        return say(scene, false, "being unplugged");
    if (is_down(scene))
        return blame(scene, "being unplugged, but not closed");
    return say(scene, false, "being unplugged: waits for the backend in %s to close it",
               scene->view->backend);
}

static bool is_untaken(const struct scene *scene)
{
    if (scene->backend != XenbusStateInitialising)
        return false;
    if (scene->is_app)
        return say(scene, false, "waits for a program in %s to open it", scene->view->backend);
    return blame(scene, "no backend took it");
}

/* Both sides say that it is up, or nearly. */
static bool is_up(const struct scene *scene)
{
    return (scene->backend == XenbusStateConnected || scene->backend == XenbusStateReconfiguring) &&
           (scene->frontend == XenbusStateInitialised || scene->frontend == XenbusStateConnected ||
            scene->frontend == XenbusStateClosing);
}

/* Whatever the states say, Xen tells when the backend's program has gone from the event channel. */
static bool is_deserted(const struct scene *scene)
{
    uint32_t number;
    struct port port;

    if (!is_up(scene) ||
        parse_number(scene->view->texts[VIEW_EVENT_CHANNEL], UINT32_MAX, &number) < 0)
        return false;
    port_look(scene->tool, scene->view->id.frontend, number, &port);
    return (port.use == PORT_UNBOUND || port.use == PORT_CLOSED) &&
           blame(scene, "nobody serves it now");
}

static bool is_unserved(const struct scene *scene)
{
    return !is_up(scene) && is_down(scene) && blame(scene, "nobody serves it now");
}

static bool is_reattached(const struct scene *scene)
{
    return scene->backend == XenbusStateReconfiguring &&
           say(scene, false, "its backend in %s takes it up again", scene->view->backend);
}

static bool is_unopened(const struct scene *scene)
{
    return scene->backend == XenbusStateInitWait && scene->frontend == XenbusStateInitialising &&
           say(scene, false, "waits for a program in %s to open it", scene->view->domain);
}

static bool is_closed(const struct scene *scene)
{
    return scene->frontend == XenbusStateClosed &&
           say(scene, false, "closed, until a program in %s opens it again", scene->view->domain);
}

/* The first that finds something has the word. */
static bool (*const rules[])(const struct scene *scene) = {
    lost_frontend, lost_backend, lost_part,     is_unplugged, is_untaken,
    is_deserted,   is_unserved,  is_reattached, is_unopened,  is_closed,
};

void hint_look(struct tool *tool, const struct view *view, struct hint *hint)
{
    const struct scene scene = {
        .tool = tool,
        .view = view,
        .frontend = view_state(view, VIEW_FRONTEND_STATE),
        .backend = view_state(view, VIEW_BACKEND_STATE),
        .is_app = strcmp(view->texts[VIEW_CONNECTION], "app") == 0,
        .hint = hint,
    };

    *hint = (struct hint){.trouble = false};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i](&scene))
            return;
}
