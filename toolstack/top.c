/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan top: shows all channels on the screen as they change. */
#include <ctype.h>
#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "state/clock.h"
#include "toolstack/command.h"
#include "toolstack/hint.h"
#include "toolstack/monitor.h"
#include "toolstack/terminal.h"
#include "toolstack/view.h"

/* Lines of the screen without channels: two above, three below. */
#define LINES_ABOVE 2
#define LINES_BELOW 3

/* Milliseconds between checks of what is wrong with the channels on the screen. */
#define JUDGE_PERIOD 1000

#define FILTER_MAX 64
#define KEY_ESCAPE 27

struct top {
    struct tool tool;
    struct monitor monitor;
    struct monitored **rows; /* the channels shown, sorted */
    size_t count;
    size_t first, selected; /* rows at the top of the screen and under the cursor */
    size_t sort;            /* a column */
    bool backward;
    char filter[FILTER_MAX];
    bool typing; /* the filter is being typed */
    bool done;
    int64_t judged; /* by clock_ms() */
};

enum pair { PAIR_PLAIN, PAIR_UP, PAIR_COMING, PAIR_DOWN };

/* --- columns --- */

static void cell_domain(const struct monitored *channel, char *text, size_t size)
{
    snprintf(text, size, "%s", channel->domain);
}

static void cell_name(const struct monitored *channel, char *text, size_t size)
{
    if (channel->name[0] != '\0')
        snprintf(text, size, "%s", channel->name);
    else
        snprintf(text, size, "%u", channel->id.devid);
}

static void cell_backend(const struct monitored *channel, char *text, size_t size)
{
    snprintf(text, size, "%s", view_text(channel->backend));
}

/* One word if both sides have the same state; otherwise two abbreviations, to fit. */
static void cell_state(const struct monitored *channel, char *text, size_t size)
{
    static const char *const words[] = {
        [XenbusStateUnknown] = "-",           [XenbusStateInitialising] = "Init",
        [XenbusStateInitWait] = "InitWait",   [XenbusStateInitialised] = "Inited",
        [XenbusStateConnected] = "Conn",      [XenbusStateClosing] = "Closing",
        [XenbusStateClosed] = "Closed",       [XenbusStateReconfiguring] = "Reconf",
        [XenbusStateReconfigured] = "Reconf",
    };
    const enum xenbus_state *states = channel->states;
    const char *mark = channel->trouble ? " !" : "";

    if (states[MONITOR_FRONTEND] == states[MONITOR_BACKEND])
        snprintf(text, size, "%s%s", xenbus_state_name(states[MONITOR_FRONTEND]), mark);
    else
        snprintf(text, size, "%s/%s%s", words[states[MONITOR_FRONTEND]],
                 words[states[MONITOR_BACKEND]], mark);
}

static void cell_rate(const struct monitored *channel, enum traffic_count direction, char *text,
                      size_t size)
{
    if (channel->traffic.known)
        traffic_short(monitor_rate(channel, direction), text, size);
    else
        snprintf(text, size, "-");
}

static void cell_received(const struct monitored *channel, char *text, size_t size)
{
    cell_rate(channel, TRAFFIC_RECEIVED, text, size);
}

static void cell_sent(const struct monitored *channel, char *text, size_t size)
{
    cell_rate(channel, TRAFFIC_SENT, text, size);
}

static uint64_t total_of(const struct monitored *channel)
{
    return channel->traffic.counts[TRAFFIC_RECEIVED] + channel->traffic.counts[TRAFFIC_SENT];
}

static void cell_total(const struct monitored *channel, char *text, size_t size)
{
    if (channel->traffic.known)
        traffic_short(total_of(channel), text, size);
    else
        snprintf(text, size, "-");
}

static void cell_peer(const struct monitored *channel, char *text, size_t size)
{
    snprintf(text, size, "%s", view_text(channel->traffic.peer));
}

static bool has_both_connected(const struct monitored *channel)
{
    return channel->states[MONITOR_FRONTEND] == XenbusStateConnected &&
           channel->states[MONITOR_BACKEND] == XenbusStateConnected;
}

static bool is_connected(const struct monitored *channel)
{
    return has_both_connected(channel) && !channel->unserved;
}

/*
 * How long it has been connected, in milliseconds before clock_ms(), if its service reports that;
 * or -1.
 */
static int64_t connected_for(const struct monitored *channel)
{
    uint64_t since = channel->traffic.counts[TRAFFIC_SINCE], now = (uint64_t)time(NULL);

    if (since == 0 || since > now || !is_connected(channel))
        return -1;
    return (int64_t)(now - since) * 1000;
}

/* A state that was there at the start has an unknown age. */
static void cell_since(const struct monitored *channel, char *text, size_t size)
{
    long long connected = (long long)connected_for(channel);
    long long seconds =
        (connected >= 0 ? connected : (long long)(clock_ms() - channel->since)) / 1000;

    if (connected < 0 && channel->changes == 0 && size > 1) {
        *text++ = '>';
        size--;
    }
    if (seconds < 60)
        snprintf(text, size, "%llds", seconds);
    else if (seconds < 60LL * 60)
        snprintf(text, size, "%lldm", seconds / 60);
    else if (seconds < 48LL * 60 * 60)
        snprintf(text, size, "%lldh", seconds / 3600);
    else
        snprintf(text, size, "%lldd", seconds / (24LL * 3600));
}

static void cell_changes(const struct monitored *channel, char *text, size_t size)
{
    snprintf(text, size, "%u", channel->changes);
}

/* Sorts the largest number first. */
static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int compare_since(const struct monitored *a, const struct monitored *b)
{
    int64_t left = connected_for(a), right = connected_for(b);

    left = left >= 0 ? clock_ms() - left : a->since;
    right = right >= 0 ? clock_ms() - right : b->since;
    return (left < right) - (left > right);
}

static int compare_changes(const struct monitored *a, const struct monitored *b)
{
    return compare_numbers(a->changes, b->changes);
}

static int compare_received(const struct monitored *a, const struct monitored *b)
{
    return compare_numbers(monitor_rate(a, TRAFFIC_RECEIVED), monitor_rate(b, TRAFFIC_RECEIVED));
}

static int compare_sent(const struct monitored *a, const struct monitored *b)
{
    return compare_numbers(monitor_rate(a, TRAFFIC_SENT), monitor_rate(b, TRAFFIC_SENT));
}

static int compare_total(const struct monitored *a, const struct monitored *b)
{
    return compare_numbers(total_of(a), total_of(b));
}

static const struct column {
    const char *title;
    int width; /* for names, the maximum; 0: what the others leave */
    void (*cell)(const struct monitored *channel, char *text, size_t size);
    /* NULL: compare as text */
    int (*compare)(const struct monitored *a, const struct monitored *b);
    int screen; /* the narrowest screen that shows it */
} columns[] = {
    {"DOMAIN", 16, cell_domain, NULL, 0},
    {"CHANNEL", 0, cell_name, NULL, 0},
    {"BACKEND", 12, cell_backend, NULL, 0},
    {"STATE FE/BE", 15, cell_state, NULL, 0},
    {"FE>BE/s", 7, cell_received, compare_received, 0},
    {"BE>FE/s", 7, cell_sent, compare_sent, 0},
    {"TOTAL", 5, cell_total, compare_total, 0},
    {"FOR", 5, cell_since, compare_since, 0},
    {"CHG", 4, cell_changes, compare_changes, 100},
    {"PEER", 28, cell_peer, NULL, 140},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

/*
 * The widths of DOMAIN and BACKEND are those of the longest name, to leave room for channel names.
 */
static int widths[COLUMN_COUNT];

static bool column_holds_domains(const struct column *column)
{
    return column->cell == cell_domain || column->cell == cell_backend;
}

static int longest_cell(const struct top *top, const struct column *column)
{
    size_t longest = strlen(column->title);

    for (size_t i = 0; i < top->count; i++) {
        char text[TOOL_NAME_MAX];

        column->cell(top->rows[i], text, sizeof(text));
        longest = strlen(text) > longest ? strlen(text) : longest;
    }
    return longest > (size_t)column->width ? column->width : (int)longest;
}

static void measure(const struct top *top)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        widths[i] =
            column_holds_domains(&columns[i]) ? longest_cell(top, &columns[i]) : columns[i].width;
}

static bool column_fits(const struct column *column)
{
    return COLS >= column->screen;
}

static int column_width(const struct column *column)
{
    int rest = COLS + 1;

    if (column->width)
        return widths[column - columns];
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        rest -= columns[i].width && column_fits(&columns[i]) ? widths[i] + 1 : 0;
    return rest > 5 ? rest - 1 : 4;
}

/* --- which rows, in which order --- */

static const struct top *sorting; /* qsort() has no argument for it */

static int compare_text(const struct column *column, const struct monitored *a,
                        const struct monitored *b)
{
    char left[TOOL_NAME_MAX], right[TOOL_NAME_MAX];

    column->cell(a, left, sizeof(left));
    column->cell(b, right, sizeof(right));
    return strcmp(left, right);
}

static int compare_rows(const void *left, const void *right)
{
    const struct monitored *a = *(const struct monitored *const *)left;
    const struct monitored *b = *(const struct monitored *const *)right;
    const struct column *column = &columns[sorting->sort];
    int order = column->compare ? column->compare(a, b) : compare_text(column, a, b);

    if (order == 0)
        order = compare_text(&columns[0], a, b);
    if (order == 0)
        order = (a->id.devid > b->id.devid) - (a->id.devid < b->id.devid);
    return sorting->backward ? -order : order;
}

static bool is_wanted(const struct top *top, const struct monitored *channel)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        char text[TOOL_NAME_MAX];

        columns[i].cell(channel, text, sizeof(text));
        if (!columns[i].compare && strcasestr(text, top->filter))
            return true;
    }
    return false;
}

static int arrange(struct top *top)
{
    struct monitored **rows = calloc(top->monitor.count + 1, sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    free(top->rows);
    top->rows = rows;
    top->count = 0;
    for (size_t i = 0; i < top->monitor.count; i++)
        if (is_wanted(top, &top->monitor.channels[i]))
            rows[top->count++] = &top->monitor.channels[i];
    sorting = top;
    qsort(rows, top->count, sizeof(*rows), compare_rows);
    return 0;
}

/* --- the screen --- */

/* Pads on the left or on the right, and cuts a longer text. */
static void put_padded(int line, int x, int width, bool right, const char *text)
{
    char clean[TOOL_NAME_MAX * 2];
    int pad;

    snprintf(clean, sizeof(clean), "%s", text);
    text_clean(clean);
    text_fit(clean, width);
    pad = width - text_width(clean);
    mvprintw(line, x, "%*s%s%*s", right ? pad : 0, "", clean, right ? 0 : pad, "");
}

static void put_line(int line, const char *text)
{
    put_padded(line, 0, COLS, false, text);
}

/* Numbers are right-aligned. A cell that does not fit on the line would wrap to the next. */
static void put_cell(int line, int x, const struct column *column, const char *text)
{
    int width = column_width(column) < COLS - x ? column_width(column) : COLS - x;

    put_padded(line, x, width, column->compare, text);
}

static enum pair pair_of(enum xenbus_state state)
{
    switch (state) {
    case XenbusStateConnected:
        return PAIR_UP;
    case XenbusStateClosing:
    case XenbusStateClosed:
        return PAIR_DOWN;
    case XenbusStateUnknown:
        return PAIR_PLAIN;
    default:
        return PAIR_COMING;
    }
}

/* The worse of the two sides. */
static enum pair pair_of_channel(const struct monitored *channel)
{
    enum pair frontend = pair_of(channel->states[MONITOR_FRONTEND]);
    enum pair backend = pair_of(channel->states[MONITOR_BACKEND]);

    if (channel->trouble)
        return PAIR_DOWN;
    return frontend > backend ? frontend : backend;
}

static void draw_row(const struct monitored *channel, int line, bool selected)
{
    int x = 0;

    for (size_t i = 0; i < COLUMN_COUNT && x < COLS; i++) {
        const struct column *column = &columns[i];
        char text[TOOL_NAME_MAX];
        enum pair pair = column->cell == cell_state ? pair_of_channel(channel) : PAIR_PLAIN;

        if (!column_fits(column))
            continue;
        column->cell(channel, text, sizeof(text));
        attrset((int)(COLOR_PAIR(pair) | (selected ? A_REVERSE : A_NORMAL)));
        put_cell(line, x, column, text);
        x += column_width(column) + 1;
        if (x < COLS)
            addch(' ');
    }
    attrset(A_NORMAL);
}

static void draw_header(const struct top *top)
{
    int x = 0;

    for (size_t i = 0; i < COLUMN_COUNT && x < COLS; i++) {
        if (!column_fits(&columns[i]))
            continue;
        attrset(i == top->sort ? A_BOLD | A_UNDERLINE : A_BOLD);
        put_cell(1, x, &columns[i], columns[i].title);
        x += column_width(&columns[i]) + 1;
    }
    attrset(A_NORMAL);
}

static void draw_summary(const struct top *top)
{
    size_t up = 0;
    uint64_t rates[2] = {0, 0};
    char text[TOOL_NAME_MAX], received[16], sent[16];

    for (size_t i = 0; i < top->monitor.count; i++) {
        up += is_connected(&top->monitor.channels[i]);
        for (enum traffic_count j = TRAFFIC_RECEIVED; j <= TRAFFIC_SENT; j++)
            rates[j] += monitor_rate(&top->monitor.channels[i], j);
    }
    traffic_short(rates[TRAFFIC_RECEIVED], received, sizeof(received));
    traffic_short(rates[TRAFFIC_SENT], sent, sizeof(sent));
    snprintf(text, sizeof(text), "xl-vchan: %zu channel%s, %zu connected, FE>BE %s/s, BE>FE %s/s",
             top->monitor.count, top->monitor.count == 1 ? "" : "s", up, received, sent);
    put_line(0, text);
    if (top->filter[0] != '\0')
        mvprintw(0, (int)strlen(text), "; %zu shown", top->count);
}

static void describe(const struct view *view, char *text, size_t size)
{
    char read[VIEW_TEXT_MAX], write[VIEW_TEXT_MAX];
    const char *peer = view->traffic.peer;

    view_size(view->texts[VIEW_READ_RING], read, sizeof(read));
    view_size(view->texts[VIEW_WRITE_RING], write, sizeof(write));
    snprintf(text, size, "%.64s %.64s: %u/%u %.16s, rings %.16s/%.16s%s%s", view->domain,
             view->texts[VIEW_NAME], view->id.frontend, view->id.devid,
             view_text(view->texts[VIEW_CONNECTION]), read, write, peer[0] ? ", " : "", peer);
}

/* Draws what the selected row has no room for, and what is wrong. */
static void draw_detail(struct top *top)
{
    struct view view;
    struct hint hint;
    char text[2 * TOOL_NAME_MAX];
    const char *trouble;

    if (top->count == 0)
        return;
    view_read(&top->tool, &top->rows[top->selected]->id, &view);
    describe(&view, text, sizeof(text));
    put_line(LINES - 3, text);
    hint_find(&top->tool, &view, &hint);
    trouble = hint_trouble(&view, &hint);
    attrset((int)COLOR_PAIR(trouble[0] ? PAIR_DOWN : PAIR_PLAIN));
    put_line(LINES - 2, trouble[0] ? trouble : hint.text);
    attrset(A_NORMAL);
}

/* The states do not show that a channel is not served. */
static void judge_row(struct top *top, struct monitored *channel)
{
    struct view view;
    struct hint hint;

    view_read(&top->tool, &channel->id, &view);
    hint_find(&top->tool, &view, &hint);
    channel->trouble = hint.trouble;
}

static void judge_served(struct top *top, struct monitored *channel)
{
    channel->unserved = has_both_connected(channel) &&
                        service_serves(&top->tool, &channel->id) == SERVED_NO;
}

static void judge(struct top *top, size_t visible)
{
    if (clock_ms() - top->judged < JUDGE_PERIOD)
        return;
    top->judged = clock_ms();
    for (size_t i = 0; i < top->monitor.count; i++)
        judge_served(top, &top->monitor.channels[i]);
    for (size_t i = top->first; i < top->count && i < top->first + visible; i++)
        judge_row(top, top->rows[i]);
}

static void draw_keys(const struct top *top)
{
    char text[FILTER_MAX + 16] = "q quit   up/down select   s sort column   r reverse   / filter";

    if (top->typing || top->filter[0] != '\0')
        snprintf(text, sizeof(text), "Filter: %s", top->filter);
    mvprintw(LINES - 1, 0, "%.*s", COLS - 1, text);
    curs_set(top->typing);
}

static void scroll_to_selected(struct top *top, size_t visible)
{
    if (top->selected >= top->count)
        top->selected = top->count ? top->count - 1 : 0;
    if (top->selected < top->first)
        top->first = top->selected;
    if (top->selected >= top->first + visible)
        top->first = top->selected - visible + 1;
    /* the window may have grown */
    if (top->first + visible > top->count)
        top->first = top->count > visible ? top->count - visible : 0;
}

/* The number of rows that fit. */
static size_t count_visible(void)
{
    return LINES > LINES_ABOVE + LINES_BELOW ? (size_t)(LINES - LINES_ABOVE - LINES_BELOW) : 1;
}

static void draw(struct top *top)
{
    size_t visible = count_visible();

    scroll_to_selected(top, visible);
    measure(top);
    judge(top, visible);
    erase();
    draw_summary(top);
    draw_header(top);
    for (size_t i = top->first; i < top->count && i < top->first + visible; i++)
        draw_row(top->rows[i], LINES_ABOVE + (int)(i - top->first), i == top->selected);
    draw_detail(top);
    draw_keys(top);
    refresh();
}

/* --- keys --- */

static void take_filter_key(struct top *top, int key)
{
    size_t length = strlen(top->filter);

    if (key == KEY_ESCAPE)
        top->filter[0] = '\0';
    if (key == KEY_ESCAPE || key == '\n' || key == KEY_ENTER)
        top->typing = false;
    else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length > 0)
        top->filter[length - 1] = '\0';
    else if (key < 128 && isprint(key) && length + 1 < FILTER_MAX) {
        top->filter[length] = (char)key;
        top->filter[length + 1] = '\0';
    }
}

static void select_up(struct top *top, size_t rows)
{
    top->selected -= top->selected < rows ? top->selected : rows;
}

static void take_key(struct top *top, int key)
{
    switch (key) {
    case 'q':
        top->done = true;
        break;
    case KEY_UP:
    case 'k':
        select_up(top, 1);
        break;
    case KEY_DOWN:
    case 'j':
        top->selected++;
        break;
    case KEY_PPAGE:
        select_up(top, count_visible());
        break;
    case KEY_NPAGE:
        top->selected += count_visible();
        break;
    case KEY_HOME:
        top->selected = 0;
        break;
    case KEY_END:
        top->selected = top->count;
        break;
    case 's':
        do
            top->sort = (top->sort + 1) % COLUMN_COUNT;
        while (!column_fits(&columns[top->sort]));
        break;
    case 'r':
        top->backward = !top->backward;
        break;
    case '/':
        top->typing = true;
        break;
    case KEY_ESCAPE:
        top->filter[0] = '\0';
        break;
    default:
        break;
    }
}

static void take_keys(struct top *top)
{
    int key;

    while ((key = getch()) != ERR) {
        if (top->typing)
            take_filter_key(top, key);
        else
            take_key(top, key);
    }
}

/* --- the command --- */

/* Waits at most a second, since the times advance. Returns 1 to end, 0 to draw again. */
static int top_wait(struct top *top)
{
    struct pollfd fds[] = {
        {.fd = store_fd(top->tool.store), .events = POLLIN},
        {.fd = top->tool.signals, .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };

    if (poll(fds, 3, 1000) < 0 && errno != EINTR)
        return -errno;
    if (fds[1].revents || fds[2].revents & (POLLHUP | POLLERR))
        return 1;
    take_keys(top); /* a resize is a key, too */
    return top->done;
}

static int top_loop(struct top *top)
{
    int rc = 0;

    while (rc == 0) {
        rc = monitor_update(&top->monitor);
        if (rc == 0)
            rc = arrange(top);
        if (rc < 0)
            return rc;
        draw(top);
        rc = top_wait(top);
    }
    return rc < 0 ? rc : 0;
}

static void colors_begin(void)
{
    if (!has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair(PAIR_UP, COLOR_GREEN, -1);
    init_pair(PAIR_COMING, COLOR_YELLOW, -1);
    init_pair(PAIR_DOWN, COLOR_RED, -1);
}

static int top_screen(struct top *top)
{
    int rc = terminal_check(&top->tool);
    SCREEN *screen = rc == 0 ? newterm(NULL, stdout, stdin) : NULL;

    if (rc < 0)
        return rc;
    if (!screen) {
        tool_complain(&top->tool, "cannot use this terminal (use xl-vchan watch)");
        return -ENOTTY;
    }
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    colors_begin();
    rc = top_loop(top);
    endwin();
    delscreen(screen);
    if (rc < 0)
        tool_complain(&top->tool, "%s", tool_why(rc));
    return rc;
}

static int top_open(struct top *top)
{
    int rc = tool_open(&top->tool, "top", NULL);

    if (rc < 0)
        return rc;
    rc = monitor_open(&top->monitor, &top->tool, true, NULL, NULL);
    if (rc < 0)
        tool_complain(&top->tool, "%s", tool_why(rc));
    else
        rc = top_screen(top);
    monitor_close(&top->monitor);
    return rc;
}

static int run_top(const struct command *command, int argc, char **argv)
{
    struct top top = {.rows = NULL};
    int rc;

    if (argc != 1)
        return command_usage(command, "%s: takes no arguments", argv[1]);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        fprintf(stderr, "xl-vchan: top: not a terminal (use xl-vchan watch)\n");
        return EXIT_FAILURE;
    }
    setlocale(LC_CTYPE, "");
    rc = top_open(&top);
    free(top.rows);
    tool_close(&top.tool);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command command_top = {
    "top", "", "Show all channels on the screen, as they change",
    "A \"!\" after the state: the channel needs attention; the lines below the list show why.\n"
    "  q  quit             up, down  select a channel: the lines below show its details\n"
    "  s  sort by another column     r  reverse the order\n"
    "  /  show only channels that contain a text; Escape: all again\n",
    run_top};
