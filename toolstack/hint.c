/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/hint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the rules know. */
struct scene {
    struct tool *tool;
    const struct view *view;
    enum xenbus_state frontend, backend;
    bool is_app; /* an application plays the backend's side */
    struct hint *hint;
};

/* Sets the hint. Returns true, for the rule to return. */
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

static bool service_is(const struct scene *scene, enum service_state state)
{
    return !scene->is_app && service_query(scene->tool, scene->view->id.backend) == state;
}

/* Whether a program should play the backend's side, and its domain lets it run. */
static bool is_programs(const struct scene *scene)
{
    domid_t backend = scene->view->id.backend;

    return scene->is_app && (backend == scene->tool->own ||
                             tool_query_domain(scene->tool, backend) == TOOL_DOMAIN_RUNS);
}

/*
 * Names the service or program that should serve the channel. A running service may be about to:
 * nothing shows since when it runs.
 */
static bool blame(const struct scene *scene, const char *what)
{
    char words[SERVICE_WORDS_MAX];

    if (service_is(scene, SERVICE_UP))
        return say(scene, true,
                   "%s: waiting for vchan-backend in %s (if this persists, see its log)", what,
                   scene->view->backend);
    if (is_programs(scene))
        return say(scene, true, "%s: the program in %s that opened it is gone", what,
                   scene->view->backend);
    service_words(scene->tool, scene->view->id.backend, words);
    return say(scene, true, "%s: %s", what, words);
}

/* --- the rules --- */

static bool frontend_is_gone(const struct scene *scene)
{
    enum tool_domain does;

    if (scene->view->texts[VIEW_FRONTEND_STATE][0] != '\0')
        return false;
    does = tool_query_domain(scene->tool, scene->view->id.frontend);
    return does == TOOL_DOMAIN_GONE || does == TOOL_DOMAIN_DYING;
}

/* Removing the channel now would lose what the domain sent last. */
static bool is_delivering(const struct scene *scene)
{
    return frontend_is_gone(scene) && scene->view->served == SERVED_YES &&
           scene->backend >= XenbusStateConnected && scene->backend != XenbusStateClosed &&
           say(scene, false,
               "its domain is gone: the backend in %s is delivering what it sent last",
               scene->view->backend);
}

static bool lost_frontend(const struct scene *scene)
{
    const struct device_id *id = &scene->view->id;

    return frontend_is_gone(scene) &&
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
           say(scene, true, "only part of it is left (xl-vchan detach --force %u %u removes it)",
               id->frontend, id->devid);
}

/* A domain that has ended and is kept does nothing, whatever its devices' states are. */
static bool has_ended(const struct scene *scene)
{
    domid_t domid = scene->view->id.frontend;
    enum tool_domain does = tool_query_domain(scene->tool, domid);

    if (does == TOOL_DOMAIN_DYING)
        return say(scene, false, "its domain is being destroyed");
    return (does == TOOL_DOMAIN_SHUT_DOWN || does == TOOL_DOMAIN_CRASHED) &&
           say(scene, true, "its domain has %s (xl destroy %u)",
               does == TOOL_DOMAIN_CRASHED ? "crashed" : "shut down", domid);
}

/* Whether a program had it open and died, leaving its state behind. */
static bool lost_program(const struct scene *scene)
{
    return scene->is_app && scene->view->id.backend == scene->tool->own &&
           scene->backend > XenbusStateInitialising && scene->backend != XenbusStateClosed;
}

static bool is_unplugged(const struct scene *scene)
{
    const struct device_id *id = &scene->view->id;

    if (strcmp(scene->view->texts[VIEW_ONLINE], "0") != 0)
        return false;
    if (scene->backend == XenbusStateClosed)
        return say(scene, true, "unplugging was not completed (xl-vchan detach %u %u completes it)",
                   id->frontend, id->devid);
    if (!scene->is_app || (scene->view->served == SERVED_NO && lost_program(scene)))
        return blame(scene, "being unplugged, but not closed");
    return say(scene, false, "being unplugged: waiting for the program in %s to close it",
               scene->view->backend);
}

static bool is_untaken(const struct scene *scene)
{
    if (scene->backend != XenbusStateInitialising)
        return false;
    if (scene->is_app)
        return say(scene, false, "waiting for a program in %s to open it", scene->view->backend);
    return blame(scene, "no backend took it");
}

/* Whatever the states say. A running service may be about to take the device. */
static bool is_unserved(const struct scene *scene)
{
    return scene->view->served == SERVED_NO &&
           (service_states_up(scene->frontend, scene->backend) ||
            service_is(scene, SERVICE_STOPPED) || service_is(scene, SERVICE_DOWN) ||
            lost_program(scene)) &&
           blame(scene, "no process serves it now");
}

/* The backend wrote its reason, which is shown beside. A channel never served has no statistics. */
static bool is_refused(const struct scene *scene)
{
    const char *backend = scene->view->backend;

    if (scene->is_app || scene->view->texts[VIEW_BACKEND_ERROR][0] == '\0')
        return false;
    if (scene->frontend == XenbusStateInitialised && scene->backend == XenbusStateInitWait)
        return say(scene, false, "opened, but not connected: the backend in %s reports why",
                   backend);
    return scene->frontend == XenbusStateInitialising && scene->backend == XenbusStateClosed &&
           !scene->view->traffic.known &&
           say(scene, false,
               "the backend in %s refuses it (fix the error, then detach and attach it)", backend);
}

static bool is_reattached(const struct scene *scene)
{
    return scene->backend == XenbusStateReconfiguring &&
           say(scene, false, "the backend in %s is taking it over again", scene->view->backend);
}

/* Whose move is next, by the two states (doc/protocol.md, "Life of a device"). */
struct move {
    enum xenbus_state frontend, backend;
    const char *before, *after;
};

static const struct move *find_move(const struct scene *scene, const struct move *moves,
                                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (moves[i].frontend == scene->frontend && moves[i].backend == scene->backend)
            return &moves[i];
    return NULL;
}

static bool waits_for_backend(const struct scene *scene)
{
    static const struct move moves[] = {
        {XenbusStateInitialised, XenbusStateInitWait, "opened, but not connected", "connect it"},
        {XenbusStateInitialising, XenbusStateConnected, "the frontend is starting over", "follow"},
        {XenbusStateInitialising, XenbusStateClosing, "the frontend is starting over", "follow"},
        {XenbusStateInitialising, XenbusStateClosed, "the frontend is starting over", "follow"},
        {XenbusStateClosed, XenbusStateConnected, "the frontend has closed it", "close it, too"},
        {XenbusStateClosed, XenbusStateClosing, "the frontend has closed it", "close it, too"},
    };
    const struct move *move = find_move(scene, moves, sizeof(moves) / sizeof(moves[0]));

    if (!move)
        return false;
    if (!scene->is_app)
        return blame(scene, move->before);
    return say(scene, false, "%s: waiting for the program in %s to %s", move->before,
               scene->view->backend, move->after);
}

static bool is_paused(const struct scene *scene)
{
    domid_t domid = scene->view->id.frontend;

    return tool_query_domain(scene->tool, domid) == TOOL_DOMAIN_PAUSED &&
           say(scene, false, "its domain is paused (xl unpause %u)", domid);
}

static bool waits_for_frontend(const struct scene *scene)
{
    static const struct move moves[] = {
        {XenbusStateInitialising, XenbusStateInitWait, "waiting for a program in ", " to open it"},
        {XenbusStateConnected, XenbusStateInitWait,
         "the backend is starting over: waiting for the program in ", " to follow"},
        {XenbusStateInitialised, XenbusStateClosing,
         "the backend is closing it: waiting for the program in ", " to close it, too"},
        {XenbusStateInitialised, XenbusStateClosed,
         "the backend has closed it: waiting for the program in ", " to close it, too"},
        {XenbusStateConnected, XenbusStateClosing,
         "the backend has finished sending: waiting for the program in ", " to close it, too"},
        {XenbusStateConnected, XenbusStateClosed,
         "the backend has closed it: waiting for the program in ", " to close it, too"},
        {XenbusStateClosing, XenbusStateClosing, "being closed: waiting for the program in ",
         " to read what is left"},
        {XenbusStateClosing, XenbusStateClosed,
         "the backend has closed it: waiting for the program in ", " to read what is left"},
        {XenbusStateClosed, XenbusStateClosed, "closed, until a program in ", " opens it again"},
        {XenbusStateClosed, XenbusStateInitWait, "closed, until a program in ", " opens it again"},
    };
    const struct move *move = find_move(scene, moves, sizeof(moves) / sizeof(moves[0]));

    return move && say(scene, false, "%s%s%s", move->before, scene->view->domain, move->after);
}

/* The frontend half-closed; a backend that hangs would look the same. */
static bool is_half_closed(const struct scene *scene)
{
    return scene->frontend == XenbusStateClosing && scene->backend == XenbusStateConnected &&
           say(scene, false, "%s has finished sending: the backend in %s is delivering the rest",
               scene->view->domain, scene->view->backend);
}

/*
 * A plain socket serves one connection at a time. Other clients hang meanwhile, without an
 * explanation.
 */
static bool has_waiting_client(const struct scene *scene)
{
    return scene->view->traffic.counts[TRAFFIC_WAITING] > 0 &&
           say(scene, false, "another client is waiting at its socket (one client at a time)");
}

/* The first rule that applies gives the hint. */
static bool (*const rules[])(const struct scene *scene) = {
    is_delivering,     lost_frontend, lost_backend,       lost_part,      has_ended,
    is_unplugged,      is_untaken,    is_unserved,        is_refused,     is_reattached,
    waits_for_backend, is_paused,     waits_for_frontend, is_half_closed, has_waiting_client,
};

void hint_find(struct tool *tool, const struct view *view, struct hint *hint)
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

const char *hint_trouble(const struct view *view, const struct hint *hint)
{
    if (hint->trouble)
        return hint->text;
    if (view->texts[VIEW_BACKEND_ERROR][0] != '\0')
        return view->texts[VIEW_BACKEND_ERROR];
    return view->texts[VIEW_FRONTEND_ERROR];
}
