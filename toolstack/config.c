/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolstack/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxlutil.h>

/* The file name given to libxlutil, so that positions are easy to find in its reports. */
#define SOURCE "config:"

/* Characters allowed in a key of an xl config file. */
#define KEY_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

/* A file being read. */
struct reader {
    const char *file;
    unsigned long lines; /* of the file; later lines come from the command line */
    XLU_Config *xlu;
    FILE *report; /* libxlutil's complaints are written to: */
    char *said;
    size_t said_size;
    bool identity; /* read only whose config it is */
    bool stored;   /* accept what an older toolstack plugged */
    struct config *config;
    char *why;
};

/* Sets why, after "FILE:LINE: " (0: no line). Returns the error. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct reader *reader,
                                                        unsigned long line, const char *format, ...)
{
    va_list args;
    int length;

    if (line > reader->lines)
        length = snprintf(reader->why, CONFIG_WHY_MAX, "command line: ");
    else if (line)
        length = snprintf(reader->why, CONFIG_WHY_MAX, "%s:%lu: ", reader->file, line);
    else
        length = snprintf(reader->why, CONFIG_WHY_MAX, "%s: ", reader->file);
    if (length >= CONFIG_WHY_MAX)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(reader->why + length, CONFIG_WHY_MAX - (size_t)length, format, args);
    va_end(args);
    return -EINVAL;
}

/* The line named in libxlutil's last report, and the report's text in *text; 0 if it names none. */
static unsigned long report_line(struct reader *reader, const char **text)
{
    char *end;
    unsigned long line;

    fflush(reader->report);
    *text = reader->said;
    if (strncmp(*text, SOURCE, strlen(SOURCE)) != 0)
        return 0;
    *text += strlen(SOURCE);
    line = strtoul(*text, &end, 10);
    if (end == *text)
        return 0;
    *text = end + strspn(end, ": ");
    return line;
}

/* The line of a setting. libxlutil reveals it only when it complains about a wrong type. */
static unsigned long setting_line(struct reader *reader)
{
    const char *text;

    return report_line(reader, &text);
}

/* The line of an entry: asking for it as a list makes libxlutil complain, with the line. */
static unsigned long entry_line(struct reader *reader, const XLU_ConfigList *list, int entry)
{
    XLU_ConfigValue *value = xlu_cfg_get_listitem2(list, entry);
    XLU_ConfigList *no_list;
    char *no_string;

    rewind(reader->report);
    if (xlu_cfg_value_type(value) == XLU_STRING)
        xlu_cfg_value_get_list(reader->xlu, value, &no_list, 0);
    else
        xlu_cfg_value_get_string(reader->xlu, value, &no_string, 0);
    return setting_line(reader);
}

int config_check_last(const struct config *config, char why[SPEC_WHY_MAX])
{
    const struct spec *last = &config->channels[config->count];

    for (size_t i = 0; i < config->count; i++) {
        const struct spec *other = &config->channels[i];

        if (strcmp(other->name, last->name) == 0) {
            snprintf(why, SPEC_WHY_MAX, "key \"name\": \"%s\" is already the name of entry %zu",
                     last->name, i + 1);
            return -EINVAL;
        }
        if (last->devid != SPEC_DEVID_ANY && other->devid == last->devid) {
            snprintf(why, SPEC_WHY_MAX, "key \"devid\": %u is already the devid of entry %zu",
                     last->devid, i + 1);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_entry(struct reader *reader, const XLU_ConfigList *list, int entry)
{
    struct config *config = reader->config;
    unsigned long line = entry_line(reader, list, entry);
    const char *spec = xlu_cfg_get_listitem(list, entry);
    char why[SPEC_WHY_MAX];
    int rc;

    if (!spec)
        return refuse(reader, line, "vchan entry %d: is not a string (write \"name=NAME, ...\")",
                      entry + 1);
    rc = spec_parse(spec, reader->stored ? SPEC_STORED : SPEC_DECLARED,
                    &config->channels[config->count], why);
    if (rc == 0)
        rc = config_check_last(config, why);
    if (rc == 0)
        config->count++;
    else
        refuse(reader, line, "vchan entry %d: %s", entry + 1, why);
    return rc;
}

static int read_channels(struct reader *reader)
{
    XLU_ConfigList *list;
    int entries, rc;

    rewind(reader->report);
    rc = xlu_cfg_get_list(reader->xlu, "vchan", &list, &entries, 0);
    if (rc == ESRCH)
        return 0;
    if (rc)
        return refuse(reader, setting_line(reader),
                      "vchan: is not a list (write vchan = [ \"name=NAME, ...\" ])");
    reader->config->declares = true;
    reader->config->channels = calloc((size_t)entries + 1, sizeof(struct spec));
    if (!reader->config->channels)
        return -ENOMEM;
    for (int i = 0; i < entries && rc == 0; i++)
        rc = read_entry(reader, list, i);
    return rc;
}

static int read_string(struct reader *reader, const char *key, char **string)
{
    const char *text;
    int rc;

    rewind(reader->report);
    rc = xlu_cfg_get_string(reader->xlu, key, &text, 0);
    if (rc == ESRCH)
        return 0;
    if (rc)
        return refuse(reader, setting_line(reader), "%s: is not a string", key);
    *string = strdup(text);
    return *string ? 0 : -ENOMEM;
}

static void read_number(struct reader *reader, const char *key, long *number)
{
    xlu_cfg_get_long(reader->xlu, key, number, 1);
}

/*
 * xl ignores unknown keys. So a key that nearly matches ours would silently mean no channels, as
 * would the first of two vchan= keys in one file: both are refused. *first is the line of the
 * first, or 0.
 */
static int check_key(const struct reader *reader, unsigned long line, const char *key,
                     unsigned long *first)
{
    size_t length = strspn(key, KEY_LETTERS);
    const char *sign = key + length + strspn(key + length, " \t");

    if (!memmem(key, length, "vchan", 5) || sign[strspn(sign, "+")] != '=')
        return 0;
    if (length > 5)
        return refuse(reader, line, "%.*s: unknown (write vchan = [ \"name=NAME, ...\" ])",
                      (int)length, key);
    if (*sign == '+' || line > reader->lines)
        return 0;
    if (*first)
        return refuse(reader, line,
                      "vchan: already set in line %lu (write vchan += [ ... ] to add to it)",
                      *first);
    *first = line;
    return 0;
}

/* Returns what follows a quoted string, a comment, or one other character. */
static const char *skip_token(const char *at)
{
    char first = *at++;

    if (first == '#')
        return at + strcspn(at, "\n");
    if (first != '"' && first != '\'')
        return at;
    while (*at != first && *at != '\n' && *at != '\0')
        at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    return *at == first ? at + 1 : at;
}

/* A setting begins a line or follows a semicolon, outside of lists. */
static int check_keys(const struct reader *reader, const char *text)
{
    unsigned long first = 0, line = 1;
    bool begins = true;
    int depth = 0, rc = 0;

    while (*text && rc == 0) {
        if (begins)
            rc = check_key(reader, line, text + strspn(text, " \t"), &first);
        depth += (*text == '[') - (*text == ']');
        begins = depth == 0 && (*text == '\n' || *text == ';');
        line += *text == '\n';
        text = skip_token(text);
    }
    return rc;
}

/* The first line with another system's line ending, or 0. */
static unsigned long foreign_line(const char *text)
{
    const char *end = strstr(text, "\r\n");
    unsigned long line = 1;

    for (; end && text < end; text++)
        line += *text == '\n';
    return end ? line : 0;
}

/* Refuses characters that an editor does not show and xl does not accept either. */
static int check_encoding(const struct reader *reader, const char *text, size_t size)
{
    unsigned long line = foreign_line(text);

    if (memchr(text, '\0', size))
        return refuse(reader, 0, "is not a text file (it contains a NUL byte)");
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        return refuse(reader, 1, "begins with a byte order mark, which xl does not accept either "
                                 "(sed -i '1s/^\\xef\\xbb\\xbf//' removes it)");
    if (line)
        return refuse(reader, line, "line ends in CR LF, which xl does not accept either "
                                    "(sed -i 's/\\r$//' removes each CR)");
    return 0;
}

static int refuse_syntax(struct reader *reader)
{
    const char *text;
    unsigned long line = report_line(reader, &text);

    return refuse(reader, line, "%.*s", (int)strcspn(text, "\n"), text);
}

static int read_config_text(struct reader *reader, const char *text, size_t size)
{
    int rc;

    rc = check_encoding(reader, text, size);
    if (rc < 0)
        return rc;
    if (xlu_cfg_readdata(reader->xlu, text, (int)size))
        return refuse_syntax(reader);
    rc = read_string(reader, "name", &reader->config->name);
    if (rc == 0)
        rc = read_string(reader, "uuid", &reader->config->uuid);
    if (rc < 0 || reader->identity)
        return rc;
    read_number(reader, "record", &reader->config->record);
    read_number(reader, "domid", &reader->config->domid);
    rc = check_keys(reader, text);
    return rc == 0 ? read_channels(reader) : rc;
}

/* Copies the file and the extra lines. */
static int copy_file(struct reader *reader, const char *extra, FILE *to)
{
    FILE *from = fopen(reader->file, "re");
    size_t size = 0;
    int c, last = '\n', rc;

    if (!from)
        return -errno;
    for (errno = 0; size <= CONFIG_SIZE_MAX && (c = getc(from)) != EOF; last = c, size++) {
        putc(c, to);
        reader->lines += c == '\n';
    }
    rc = ferror(from) ? -errno : size > CONFIG_SIZE_MAX ? -EFBIG : 0;
    fclose(from);
    if (last != '\n') {
        putc('\n', to);
        reader->lines++;
    }
    fputs(extra, to);
    return rc;
}

/* Reads everything into memory. On success the caller frees *text. */
static int load_text(struct reader *reader, const char *extra, char **text, size_t *size)
{
    FILE *to = open_memstream(text, size);
    int rc;

    if (!to)
        return -errno;
    rc = copy_file(reader, extra, to);
    if (fclose(to) != 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        free(*text);
    return rc;
}

static int read_config_file(struct reader *reader, const char *extra)
{
    char *text;
    size_t size;
    int rc = load_text(reader, extra, &text, &size);

    if (rc < 0)
        return rc;
    rc = read_config_text(reader, text, size);
    free(text);
    return rc;
}

static int read_with(struct reader *reader, const char *extra)
{
    int rc = -ENOMEM;

    *reader->config = (struct config){.domid = -1};
    reader->why[0] = '\0';
    reader->report = open_memstream(&reader->said, &reader->said_size);
    if (reader->report)
        reader->xlu = xlu_cfg_init(reader->report, "config");
    if (reader->xlu)
        rc = read_config_file(reader, extra);
    if (rc < 0 && reader->why[0] == '\0')
        refuse(reader, 0, "%s", strerror(-rc));
    if (rc < 0)
        config_free(reader->config);
    xlu_cfg_destroy(reader->xlu);
    if (reader->report)
        fclose(reader->report);
    free(reader->said);
    return rc;
}

int config_read(const char *file, const char *extra, struct config *config,
                char why[CONFIG_WHY_MAX])
{
    struct reader reader = {.file = file, .config = config, .why = why};

    return read_with(&reader, extra);
}

int config_read_record(const char *file, struct config *config, char why[CONFIG_WHY_MAX])
{
    struct reader reader = {.file = file, .stored = true, .config = config, .why = why};

    return read_with(&reader, "");
}

int config_read_identity(const char *file, struct config *config, char why[CONFIG_WHY_MAX])
{
    struct reader reader = {.file = file, .identity = true, .config = config, .why = why};

    return read_with(&reader, "");
}

static void put_quoted(FILE *to, const char *text)
{
    putc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', to);
        putc(*text, to);
    }
    putc('"', to);
}

int config_write(const struct config *config, FILE *to)
{
    int rc = 0;

    if (config->name) {
        fputs("name = ", to);
        put_quoted(to, config->name);
        putc('\n', to);
    }
    fputs("vchan = [", to);
    for (size_t i = 0; i < config->count && rc == 0; i++) {
        char *text;

        rc = spec_format(&config->channels[i], &text);
        if (rc < 0)
            break;
        fputs(i ? ",\n          " : " ", to);
        put_quoted(to, text);
        free(text);
    }
    fputs(" ]\n", to);
    return rc;
}

struct spec *config_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return &config->channels[i];
    return NULL;
}

int config_put(struct config *config, const struct spec *channel)
{
    struct spec *place = config_find(config, channel->name);

    if (!place) {
        place = reallocarray(config->channels, config->count + 1, sizeof(*place));
        if (!place)
            return -ENOMEM;
        config->channels = place;
        place += config->count++;
    }
    *place = *channel;
    return 0;
}

void config_drop(struct config *config, const char *name)
{
    struct spec *channel = config_find(config, name);

    if (!channel)
        return;
    config->count--;
    memmove(channel, channel + 1,
            (size_t)(&config->channels[config->count] - channel) * sizeof(*channel));
}

void config_free(struct config *config)
{
    free(config->name);
    free(config->uuid);
    free(config->channels);
    *config = (struct config){.count = 0};
}
