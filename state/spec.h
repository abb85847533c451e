/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel is: one struct, one table of its fields. Parsing an entry, formatting one, writing
 * the nodes, reading them back, comparing and showing all use the table. A new key is one row of
 * SPEC_FIELDS, a new kind of connection one row of SPEC_KINDS (and its file in service/kinds/). The
 * keys are described in man/xl-vchan.cfg.5.scd, the nodes in doc/protocol.md, "Nodes".
 */
#ifndef STATE_SPEC_H
#define STATE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/device.h"

struct store;

/* A devid that means: the toolstack picks the first free one. */
#define SPEC_DEVID_ANY UINT32_MAX

/* The longest texts, without their NUL. A path must fit a Unix socket's address. */
#define SPEC_BACKEND_MAX 255
#define SPEC_UUID_MAX    36
#define SPEC_KIND_MAX    15
#define SPEC_PATH_MAX    107
#define SPEC_ADDRESS_MAX 262
#define SPEC_ACCOUNT_MAX 32 /* of a user or a group */
#define SPEC_MODE_MAX    4
#define SPEC_COMMAND_MAX 2048

/* Room for any value as text and its NUL. */
#define SPEC_VALUE_MAX (SPEC_COMMAND_MAX + 1)

/*
 * The fields, in the order of the text form. command comes last, because it takes all that follows.
 *
 * FIELD(ID, member, key, type, longest text, where its node is, who may set it, check, word)
 *
 * Types: TEXT (empty: not given), NUMBER, COUNT (0: not given), SIZE (bytes), FLAG. Where: SHARED (F, B and T), BACKEND
 * (B and T), PRIVATE (below private/ in B and T), NOWHERE (it is in the device's path). Who: GUEST
 * (a guest, for its own side, and the toolstack) or TOOLSTACK only. The check is
 * spec_check_<check>() in spec.c.
 */
#define SPEC_FIELDS(FIELD)                                                                         \
    FIELD(NAME, name, "name", TEXT, DEVICE_NAME_MAX, SHARED, GUEST, name, "NAME")                  \
    FIELD(BACKEND, backend, "backend", TEXT, SPEC_BACKEND_MAX, NOWHERE, TOOLSTACK, text, "DOMAIN") \
    FIELD(UUID, backend_uuid, "backend-uuid", TEXT, SPEC_UUID_MAX, NOWHERE, TOOLSTACK, uuid,       \
          "UUID")                                                                                  \
    FIELD(DEVID, devid, "devid", NUMBER, 0, NOWHERE, TOOLSTACK, devid, "NUMBER")                   \
    FIELD(READ_RING, read_ring, "read-ring", SIZE, 0, SHARED, TOOLSTACK, size, "SIZE")             \
    FIELD(WRITE_RING, write_ring, "write-ring", SIZE, 0, SHARED, TOOLSTACK, size, "SIZE")          \
    FIELD(STREAMS, streams, "streams", COUNT, 0, SHARED, TOOLSTACK, streams, "NUMBER")             \
    FIELD(CONNECTION, connection, "connection", TEXT, SPEC_KIND_MAX, BACKEND, GUEST, kind, "KIND") \
    FIELD(PATH, path, "path", TEXT, SPEC_PATH_MAX, PRIVATE, GUEST, path, "PATH")                   \
    FIELD(OWNER, owner, "owner", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "USER")          \
    FIELD(GROUP, group, "group", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "GROUP")         \
    FIELD(MODE, mode, "mode", TEXT, SPEC_MODE_MAX, PRIVATE, GUEST, mode, "MODE")                   \
    FIELD(ADDRESS, address, "address", TEXT, SPEC_ADDRESS_MAX, PRIVATE, GUEST, address,            \
          "HOST:PORT")                                                                             \
    FIELD(USER, user, "user", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "USER")             \
    FIELD(SERVER_USER, server_user, "server-user", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST,         \
          account, "USER")                                                                         \
    FIELD(RECONNECT, reconnect, "reconnect", FLAG, 0, PRIVATE, GUEST, flag, "0|1")                 \
    FIELD(COMMAND, command, "command", TEXT, SPEC_COMMAND_MAX, PRIVATE, GUEST, text, "COMMAND")

#define SPEC_BIT(ID) (1u << SPEC_##ID)

#define SPEC_FILE_KEYS (SPEC_BIT(OWNER) | SPEC_BIT(GROUP) | SPEC_BIT(MODE) | SPEC_BIT(RECONNECT))

/*
 * The kinds of connection. The first is the default: an application opens the channel itself.
 *
 * KIND(ID, name, required keys, keys for which the service has a default, optional keys, default of
 * reconnect)
 */
#define SPEC_KINDS(KIND)                                                                           \
    KIND(app, "app", 0, 0, 0, false)                                                               \
    KIND(echo, "echo", 0, 0, SPEC_BIT(STREAMS), false)                                             \
    KIND(socket, "socket", 0, SPEC_BIT(PATH), SPEC_FILE_KEYS | SPEC_BIT(STREAMS), true)            \
    KIND(connect, "connect", SPEC_BIT(PATH), 0,                                                    \
         SPEC_BIT(RECONNECT) | SPEC_BIT(USER) | SPEC_BIT(SERVER_USER) | SPEC_BIT(STREAMS), false)  \
    KIND(tcp, "tcp", SPEC_BIT(ADDRESS), 0, SPEC_BIT(RECONNECT) | SPEC_BIT(STREAMS), false)         \
    KIND(tcp_listen, "tcp-listen", SPEC_BIT(ADDRESS) | SPEC_BIT(STREAMS), 0, 0, false)             \
    KIND(pty, "pty", 0, SPEC_BIT(PATH), SPEC_FILE_KEYS, true)                                      \
    KIND(exec, "exec", SPEC_BIT(COMMAND) | SPEC_BIT(USER), 0,                                      \
         SPEC_BIT(RECONNECT) | SPEC_BIT(STREAMS), false)

#define SPEC_ID(ID, ...) SPEC_##ID,
enum spec_key { SPEC_FIELDS(SPEC_ID) SPEC_KEYS };
#undef SPEC_ID

enum spec_type {
    SPEC_TYPE_TEXT,
    SPEC_TYPE_NUMBER,
    SPEC_TYPE_COUNT,
    SPEC_TYPE_SIZE,
    SPEC_TYPE_FLAG
};
enum spec_place { SPEC_AT_NOWHERE, SPEC_AT_SHARED, SPEC_AT_BACKEND, SPEC_AT_PRIVATE };

#define SPEC_MEMBER_TEXT(member, most)   char member[(most) + 1];
#define SPEC_MEMBER_NUMBER(member, most) uint32_t member;
#define SPEC_MEMBER_COUNT(member, most)  uint32_t member;
#define SPEC_MEMBER_SIZE(member, most)   uint32_t member;
#define SPEC_MEMBER_FLAG(member, most)   bool member;
#define SPEC_MEMBER(ID, member, key, type, most, ...) SPEC_MEMBER_##type(member, most)

/*
 * A channel. backend is a domain's name or id; backend_uuid takes precedence; if both are empty, it
 * is the toolstack's domain. Ring sizes are as the frontend sees them, rounded up to what the wire
 * allows.
 */
struct spec {
    SPEC_FIELDS(SPEC_MEMBER)
};

/* A row of the table. */
struct spec_field {
    const char *key;
    enum spec_type type;
    enum spec_place place;
    bool toolstack; /* a guest may not set it */
};

extern const struct spec_field spec_fields[SPEC_KEYS];

/* The name of a key. SPEC_KEYS gives "ring", which stands for both rings and is in no struct. */
const char *spec_key_name(unsigned int key);

/*
 * Formats a field as people write it: 64K, 0660, 1. Returns false with an empty text if it was not
 * given or does not apply to the channel's kind.
 */
bool spec_value(const struct spec *spec, enum spec_key key, char text[SPEC_VALUE_MAX]);

/* The value of a NUMBER, COUNT or SIZE field; sizes in bytes. */
uint32_t spec_number(const struct spec *spec, enum spec_key key);

/* A channel without a name, of that kind of connection, with all other fields at their defaults. */
struct spec spec_usual(const char *connection);

/* Whether channels of that kind of connection may have this key. */
bool spec_takes(const char *connection, enum spec_key key);

/* Whether two channels are equal in every field. */
bool spec_equal(const struct spec *a, const struct spec *b);

/* Whether an application plays the backend's side itself, so that the service leaves it alone. */
bool spec_is_app(const struct spec *spec);

/*
 * The key of the channel's kind that describes it best: path, address or command. SPEC_KEYS if
 * there is none, or if the kind is unknown here.
 */
enum spec_key spec_main_key(const struct spec *spec);

/* Whether the service has a default for that key of a channel of this kind. */
bool spec_has_default(const struct spec *spec, enum spec_key key);

/* Where channels have their default paths, in a directory for each peer's domain. */
#define SPEC_RUN_DIR "/run/pvchan"

/*
 * The default path of a channel, by the domain at its other end and its name: "/run/pvchan/5/NAME".
 * False, and an empty text: a name that begins with a dot has none.
 */
bool spec_default_path(domid_t peer, const char *name, char path[SPEC_PATH_MAX + 1]);

/* ---- building one ---- */

/*
 * Room for the error line of spec_take(), spec_end() and spec_parse(), and its NUL. A longer line
 * is cut.
 */
#define SPEC_WHY_MAX 1024

/* Where the values come from. */
enum spec_source {
    SPEC_DECLARED, /* an administrator, now */
    SPEC_STORED,   /* xenstore or a record; an older toolstack may have left out a command's user */
    SPEC_GUEST,    /* a guest, for its own side; the toolstack's keys are refused */
};

/* A channel being built. */
struct spec_build {
    struct spec *spec;
    enum spec_source source;
    uint32_t given; /* 1 << enum spec_key, or 1 << SPEC_KEYS (spec_key_name()) */
    char *why;      /* SPEC_WHY_MAX */
};

/* Begins a channel with every field at its default. */
struct spec_build spec_begin(struct spec *spec, enum spec_source source, char why[SPEC_WHY_MAX]);

/*
 * Sets one key. Returns 0, or -EINVAL with one line in why that names the key and says what to
 * write.
 */
int spec_take(struct spec_build *build, const char *key, const char *value);

/*
 * Ends the building: checks that the fields go together, fills in defaults, rounds the rings.
 * Returns as spec_take(); *spec is undefined after a failure.
 */
int spec_end(struct spec_build *build);

/* Formats build->why, and returns -EINVAL. */
int spec_refuse(const struct spec_build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- as text: "KEY=VALUE, KEY=VALUE, …" ---- */

/*
 * Parses an entry of vchan= in an xl config file, or of attach. Returns 0, or -EINVAL or -ENOMEM
 * with one line in why; *spec is then undefined.
 */
int spec_parse(const char *text, enum spec_source source, struct spec *spec,
               char why[SPEC_WHY_MAX]);

/*
 * Formats the text from which spec_parse() makes the same channel, without defaults. The result is
 * parsed and compared. Returns 0, and the caller frees *text; -EINVAL if no text expresses it (a
 * name with a comma, a control character); or -ENOMEM.
 */
int spec_format(const struct spec *spec, char **text);

/* ---- as nodes in xenstore ---- */

/*
 * Writes the fields of one place into a directory. Returns 0, or what store_write_text() returns.
 */
int spec_write(struct store *store, const char *dir, enum spec_place place,
               const struct spec *spec);

/*
 * Reads how a channel is connected from a directory (B): connection and what is private. Returns 0,
 * or a negative errno with one line in why, which names the node but not its content, since the
 * frontend may read it. An unknown kind is no error. For app nothing more is read, and required
 * keys may be missing. A missing reconnect gets the default of app.
 */
int spec_read_connection(struct store *store, const char *dir, struct spec *spec,
                         char why[SPEC_WHY_MAX]);

/*
 * Reads a whole channel from a directory (T), as spec_parse() with SPEC_STORED would understand it.
 * Returns 0, or -EINVAL or another negative errno with one line in why.
 */
int spec_read(struct store *store, const char *dir, struct spec *spec, char why[SPEC_WHY_MAX]);

#endif
