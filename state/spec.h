/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel is: one struct, one table of its fields. Parsing an entry, formatting one, writing
 * the nodes, reading them back, comparing and showing all go by the table: a new key is one row of
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

/* As a devid: the toolstack picks the first that is free. */
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
 * The fields, in the order of the text form; command is last, since it takes all that follows it.
 *
 * FIELD(ID, member, key, type, longest text, where its node is, whose it is to say, check, word)
 *
 * Types: TEXT (empty: not given), NUMBER, SIZE (bytes), FLAG. Where: SHARED (F, B and T), BACKEND (B
 * and T), PRIVATE (below private/ in B and T), NOWHERE (it is in the device's path). Whose: a GUEST
 * may say it of its own side, or only the TOOLSTACK may. The check is spec_check_<check>() in spec.c.
 */
#define SPEC_FIELDS(FIELD)                                                                         \
    FIELD(NAME, name, "name", TEXT, DEVICE_NAME_MAX, SHARED, GUEST, name, "NAME")                  \
    FIELD(BACKEND, backend, "backend", TEXT, SPEC_BACKEND_MAX, NOWHERE, TOOLSTACK, text, "DOMAIN") \
    FIELD(UUID, backend_uuid, "backend-uuid", TEXT, SPEC_UUID_MAX, NOWHERE, TOOLSTACK, uuid,       \
          "UUID")                                                                                  \
    FIELD(DEVID, devid, "devid", NUMBER, 0, NOWHERE, TOOLSTACK, devid, "NUMBER")                   \
    FIELD(READ_RING, read_ring, "read-ring", SIZE, 0, SHARED, TOOLSTACK, size, "SIZE")             \
    FIELD(WRITE_RING, write_ring, "write-ring", SIZE, 0, SHARED, TOOLSTACK, size, "SIZE")          \
    FIELD(CONNECTION, connection, "connection", TEXT, SPEC_KIND_MAX, BACKEND, GUEST, kind, "KIND") \
    FIELD(PATH, path, "path", TEXT, SPEC_PATH_MAX, PRIVATE, GUEST, path, "PATH")                   \
    FIELD(OWNER, owner, "owner", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "USER")          \
    FIELD(GROUP, group, "group", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "GROUP")         \
    FIELD(MODE, mode, "mode", TEXT, SPEC_MODE_MAX, PRIVATE, GUEST, mode, "MODE")                   \
    FIELD(ADDRESS, address, "address", TEXT, SPEC_ADDRESS_MAX, PRIVATE, GUEST, address,            \
          "HOST:PORT")                                                                             \
    FIELD(USER, user, "user", TEXT, SPEC_ACCOUNT_MAX, PRIVATE, GUEST, account, "USER")             \
    FIELD(RECONNECT, reconnect, "reconnect", FLAG, 0, PRIVATE, GUEST, flag, "0|1")                 \
    FIELD(COMMAND, command, "command", TEXT, SPEC_COMMAND_MAX, PRIVATE, GUEST, text, "COMMAND")

#define SPEC_BIT(ID) (1u << SPEC_##ID)

#define SPEC_FILE_KEYS (SPEC_BIT(OWNER) | SPEC_BIT(GROUP) | SPEC_BIT(MODE) | SPEC_BIT(RECONNECT))

/*
 * The kinds of connection. The first is the default: an application opens the channel itself.
 *
 * KIND(name, keys that it cannot do without, keys that it takes besides, reconnect by default)
 */
#define SPEC_KINDS(KIND)                                                                           \
    KIND(app, 0, 0, false)                                                                         \
    KIND(echo, 0, 0, false)                                                                        \
    KIND(socket, SPEC_BIT(PATH), SPEC_FILE_KEYS, true)                                             \
    KIND(connect, SPEC_BIT(PATH), SPEC_BIT(RECONNECT) | SPEC_BIT(USER), false)                     \
    KIND(tcp, SPEC_BIT(ADDRESS), SPEC_BIT(RECONNECT), false)                                       \
    KIND(pty, SPEC_BIT(PATH), SPEC_FILE_KEYS, true)                                                \
    KIND(exec, SPEC_BIT(COMMAND) | SPEC_BIT(USER), SPEC_BIT(RECONNECT), false)

#define SPEC_ID(ID, ...) SPEC_##ID,
enum spec_key { SPEC_FIELDS(SPEC_ID) SPEC_KEYS };
#undef SPEC_ID

enum spec_type { SPEC_TYPE_TEXT, SPEC_TYPE_NUMBER, SPEC_TYPE_SIZE, SPEC_TYPE_FLAG };
enum spec_place { SPEC_AT_NOWHERE, SPEC_AT_SHARED, SPEC_AT_BACKEND, SPEC_AT_PRIVATE };

#define SPEC_MEMBER_TEXT(member, most)   char member[(most) + 1];
#define SPEC_MEMBER_NUMBER(member, most) uint32_t member;
#define SPEC_MEMBER_SIZE(member, most)   uint32_t member;
#define SPEC_MEMBER_FLAG(member, most)   bool member;
#define SPEC_MEMBER(ID, member, key, type, most, ...) SPEC_MEMBER_##type(member, most)

/*
 * A channel. backend is a domain's name or id; backend_uuid goes first; if both are empty, it is the
 * toolstack's domain. The rings are seen from the frontend, and rounded up to what the wire takes.
 */
struct spec {
    SPEC_FIELDS(SPEC_MEMBER)
};

/* A row of the table. */
struct spec_field {
    const char *key;
    enum spec_type type;
    enum spec_place place;
    bool toolstack; /* not a guest's to say */
};

extern const struct spec_field spec_fields[SPEC_KEYS];

/* The name of a key; of SPEC_KEYS: "ring", which stands for both rings and is in no struct. */
const char *spec_key_name(unsigned int key);

/*
 * The value of a field as a person writes it: 64K, 0660, 1. Returns false, and an empty text, where
 * it was not given or means nothing for the channel's kind.
 */
bool spec_value(const struct spec *spec, enum spec_key key, char text[SPEC_VALUE_MAX]);

/* The value of a field that is a number or a size, in bytes. */
uint32_t spec_number(const struct spec *spec, enum spec_key key);

/* A channel without a name of that kind of connection, everything else as by default. */
struct spec spec_usual(const char *connection);

/* Whether two channels are alike in everything. */
bool spec_equal(const struct spec *a, const struct spec *b);

/* Whether an application opens the backend's side itself, so that no service takes it. */
bool spec_is_app(const struct spec *spec);

/*
 * The key that the channel's kind cannot do without, and that says best what it is: path, address or
 * command. SPEC_KEYS: there is none, or the kind is not known here.
 */
enum spec_key spec_main_key(const struct spec *spec);

/* ---- building one ---- */

/* Room for the error line of spec_take(), spec_end() and spec_parse(), and its NUL; a longer one is cut. */
#define SPEC_WHY_MAX 1024

/* Who says it. */
enum spec_source {
    SPEC_DECLARED, /* an administrator, now */
    SPEC_STORED,   /* xenstore or a record: an older toolstack may have left out a command's user */
    SPEC_GUEST,    /* a guest, of its own side: what is the toolstack's is refused */
};

/* One being built. */
struct spec_build {
    struct spec *spec;
    enum spec_source source;
    uint32_t given; /* 1 << enum spec_key, or 1 << SPEC_KEYS (spec_key_name()) */
    char *why;      /* SPEC_WHY_MAX */
};

/* Begins one, with every field as by default. */
struct spec_build spec_begin(struct spec *spec, enum spec_source source, char why[SPEC_WHY_MAX]);

/* Takes one key. 0, or -EINVAL with one line in why that names the key and says what to write. */
int spec_take(struct spec_build *build, const char *key, const char *value);

/*
 * All is said: checks what has to fit together, fills in defaults, rounds the rings. As spec_take();
 * *spec is undefined after a failure.
 */
int spec_end(struct spec_build *build);

/* Says why, in build->why, and gives what to return: -EINVAL. */
int spec_refuse(const struct spec_build *build, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- as text: "KEY=VALUE, KEY=VALUE, …" ---- */

/*
 * Parses an entry of vchan= in an xl config file, or of attach. 0, or -EINVAL or -ENOMEM with one
 * line in why; *spec is then undefined.
 */
int spec_parse(const char *text, enum spec_source source, struct spec *spec,
               char why[SPEC_WHY_MAX]);

/*
 * The text that spec_parse() makes the same channel of, with what is not as by default: it is parsed
 * and compared. 0, and the caller frees *text; -EINVAL: no text says it (a name with a comma, a
 * control character); or -ENOMEM.
 */
int spec_format(const struct spec *spec, char **text);

/* ---- as nodes in xenstore ---- */

/* Writes the fields of one place into a directory: 0, or what store_write_text() returns. */
int spec_write(struct store *store, const char *dir, enum spec_place place,
               const struct spec *spec);

/*
 * Reads what a channel is to be plugged into from a directory (B): connection and what is private. 0,
 * or a negative errno with one line in why, which names the node and nothing of its content: the
 * frontend may read it. A kind that is not known here is no error; of app nothing more is read, and
 * what a kind needs may be missing. reconnect is as by default for app if it is not there.
 */
int spec_read_connection(struct store *store, const char *dir, struct spec *spec,
                         char why[SPEC_WHY_MAX]);

/*
 * Reads all that a directory (T) says, which has to make a channel as spec_parse() with SPEC_STORED
 * understands it. 0, or -EINVAL or another negative errno with one line in why.
 */
int spec_read(struct store *store, const char *dir, struct spec *spec, char why[SPEC_WHY_MAX]);

#endif
