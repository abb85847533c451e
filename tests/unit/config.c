/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What xl-vchan's config file may contain, and the errors. man/xl-vchan.cfg.5.scd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "toolstack/config.h"

static char file[] = "/tmp/test-config.XXXXXX";

static void file_make(void)
{
    int fd = mkstemp(file);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void file_remove(void)
{
    unlink(file);
    memcpy(file + strlen(file) - 6, "XXXXXX", 6);
}

static void file_write(const char *text, size_t size)
{
    FILE *to = fopen(file, "w");

    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(text, 1, size, to), size);
    ck_assert_int_eq(fclose(to), 0);
}

/* The text with each @ replaced by the file's name. */
static void expand(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; *text && used + 1 < size; text++) {
        if (*text == '@')
            used += (size_t)snprintf(out + used, size - used, "%s", file);
        else
            out[used++] = *text;
    }
    out[used] = '\0';
}

START_TEST(every_key_is_read)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];

    ck_assert_int_eq(spec_parse("name=org.example.db-1_x, backend=stor age,devid=7, "
                                "read-ring=4k , write-ring=1M,\tconnection=socket,"
                                " path=/run/a=b.sock, reconnect=0",
                                SPEC_DECLARED, &channel, why),
                     0);
    ck_assert_str_eq(channel.name, "org.example.db-1_x");
    ck_assert_str_eq(channel.backend, "stor age");
    ck_assert_uint_eq(channel.devid, 7);
    ck_assert_uint_eq(channel.read_ring, 4096);
    ck_assert_uint_eq(channel.write_ring, 1 << 20);
    ck_assert_str_eq(channel.connection, "socket");
    ck_assert_str_eq(channel.path, "/run/a=b.sock");
    ck_assert(!channel.reconnect);
    ck_assert(!spec_is_app(&channel));
}
END_TEST

START_TEST(a_name_is_enough)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], value[SPEC_VALUE_MAX];

    ck_assert_int_eq(spec_parse("name=x", SPEC_DECLARED, &channel, why), 0);
    ck_assert_str_eq(channel.backend, "");
    ck_assert_uint_eq(channel.devid, SPEC_DEVID_ANY);
    ck_assert_uint_eq(channel.read_ring, RING_SIZE_DEFAULT);
    ck_assert_uint_eq(channel.write_ring, RING_SIZE_DEFAULT);
    ck_assert(!channel.reconnect);
    ck_assert(!spec_value(&channel, SPEC_RECONNECT, value));
    ck_assert(spec_is_app(&channel));
}
END_TEST

START_TEST(who_may_and_who_runs_is_read)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];

    ck_assert_int_eq(spec_parse("name=x, connection=pty, path=/dev/x, owner=33, mode=660, "
                                "group=dial.out-2_x",
                                SPEC_DECLARED, &channel, why),
                     0);
    ck_assert_str_eq(channel.owner, "33");
    ck_assert_str_eq(channel.group, "dial.out-2_x");
    ck_assert_str_eq(channel.mode, "0660");
    ck_assert_int_eq(
        spec_parse("name=x, connection=exec, user=nobody, command=id", SPEC_DECLARED, &channel, why), 0);
    ck_assert_str_eq(channel.user, "nobody");
}
END_TEST

static const struct {
    const char *keys;
    bool reconnect;
} reconnects[] = {
    {"socket,path=/a", true},
    {"pty,path=/a", true},
    {"connect,path=/a", false},
    {"tcp,address=a:1", false},
    {"exec,user=a,command=a", false},
    {"socket,path=/a,reconnect=0", false},
    {"socket", true},
    {"pty", true},
    {"tcp,address=a:1,reconnect=1", true},
};

START_TEST(reconnect_is_by_kind)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], spec[128], value[SPEC_VALUE_MAX];

    snprintf(spec, sizeof(spec), "name=x,connection=%s", reconnects[_i].keys);
    ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why), 0);
    ck_assert(spec_value(&channel, SPEC_RECONNECT, value));
    ck_assert_int_eq(channel.reconnect, reconnects[_i].reconnect);
}
END_TEST

START_TEST(a_command_takes_the_rest)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];

    ck_assert_int_eq(
        spec_parse("name=x,connection=exec,user=root,command= awk -F, '{a=1, b=2}' ",
                   SPEC_DECLARED, &channel, why),
        0);
    ck_assert_str_eq(channel.command, "awk -F, '{a=1, b=2}'");
}
END_TEST

/* These look like keys, but cannot be meant as the entry's. */
static const char *const commands[] = {
    "socat - UNIX-LISTEN:/run/x,mode=0600,''user=web",
    "qemu -chardev socket,path=/x,name=y",
    "mount -o rw, ''group=5",
    "a,users=1, x=name=",
};

START_TEST(a_command_has_what_looks_like_keys)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], spec[256];

    snprintf(spec, sizeof(spec), "name=x,connection=exec,user=root,command=%s", commands[_i]);
    ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why), 0);
    ck_assert_str_eq(channel.command, commands[_i]);
}
END_TEST

static const char *const addresses[] = {"10.0.0.1:5432", "db.example.org:1", "[::1]:65535"};

START_TEST(an_address_is_read)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], spec[128];

    snprintf(spec, sizeof(spec), "name=x,connection=tcp,address=%s", addresses[_i]);
    ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why), 0);
    ck_assert_str_eq(channel.address, addresses[_i]);
}
END_TEST

static const struct {
    const char *name, *path;
} default_paths[] = {
    {"a", "/run/pvchan/32751/a"},
    {"org.example.db-1_x", "/run/pvchan/32751/org.example.db-1_x"},
    {"a..", "/run/pvchan/32751/a.."},
    {"..", NULL},
    {".", NULL},
    {".a", NULL},
    {"", NULL},
    {"a/b", NULL},
    {"1234567890123456789012345678901234567890123456789012345678901234",
     "/run/pvchan/32751/1234567890123456789012345678901234567890123456789012345678901234"},
    {"12345678901234567890123456789012345678901234567890123456789012345", NULL},
};

START_TEST(a_default_path_stays_in_its_directory)
{
    char path[SPEC_PATH_MAX + 1];

    ck_assert_int_eq(spec_default_path(32751, default_paths[_i].name, path),
                     default_paths[_i].path != NULL);
    ck_assert_str_eq(path, default_paths[_i].path ? default_paths[_i].path : "");
}
END_TEST

static const struct {
    const char *sizes;
    uint32_t read, write;
} rings[] = {
    {"ring=1", 1024, 2048},          {"ring=2000", 2048, 4096},
    {"ring=5000", 8192, 8192},       {"ring=1024K", 1 << 20, 1 << 20},
    {"read-ring=64K", 65536, 65536}, {"write-ring=4096", 65536, 4096},
};

START_TEST(sizes_are_rounded_up)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], spec[128];

    snprintf(spec, sizeof(spec), "name=x,%s", rings[_i].sizes);
    ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why), 0);
    ck_assert_uint_eq(channel.read_ring, rings[_i].read);
    ck_assert_uint_eq(channel.write_ring, rings[_i].write);
}
END_TEST

#define KEYS                                                                                       \
    "name, backend, backend-uuid, devid, read-ring, write-ring, streams, connection, path, "       \
    "owner, group, mode, address, user, server-user, reconnect, command, ring)"
#define NO_USER                                                                                    \
    "key \"user\": missing (connection=exec needs it: the user that runs the command, such as "  \
    "user=nobody; for root, write user=root)"
#define NO_DEFAULT "key \"path\": missing (a name that begins with a dot has no default)"

static const struct {
    const char *spec, *why;
} bad_specs[] = {
    {"", "empty KEY=VALUE (an extra comma?)"},
    {"name=x,", "empty KEY=VALUE (an extra comma?)"},
    {"name=x, ,ring=4K", "empty KEY=VALUE (an extra comma?)"},
    {"name=x, path",
     "\"path\" is not KEY=VALUE (only command=, written last, may contain a comma)"},
    {"name=x,connection=pty,path=/a,b",
     "\"b\" is not KEY=VALUE (only command=, written last, may contain a comma)"},
    {"=x", "key \"\": unknown (the keys are " KEYS},
    {"name=x, colour=red", "key \"colour\": unknown (the keys are " KEYS},
    {"Name=x", "key \"Name\": unknown (the keys are " KEYS},
    {"name=x,name=y", "key \"name\": given twice"},
    {"name=x,backend= ", "key \"backend\": has no value"},
    {"connection=echo", "key \"name\": missing (add name=NAME)"},
    {"name=a/b",
     "key \"name\": \"a/b\" is not a valid channel name (1 to 64 of A-Z a-z 0-9 . _ -)"},
    {"name=x,devid=-1", "key \"devid\": \"-1\" is not a number from 0 to 65535"},
    {"name=x,devid=65536", "key \"devid\": \"65536\" is not a number from 0 to 65535"},
    {"name=x,connection=echo,streams=1", "key \"streams\": \"1\" is not a number from 2 to 4096"},
    {"name=x,connection=echo,streams=4097",
     "key \"streams\": \"4097\" is not a number from 2 to 4096"},
    {"name=x,streams=8",
     "key \"streams\": not valid with connection=app (only with echo, socket, connect, tcp, "
     "tcp-listen, exec)"},
    {"name=x,connection=socket,reconnect=1,streams=8",
     "key \"reconnect\": not valid with streams (each connection has a stream of its own)"},
    {"name=x,ring=3G", "key \"ring\": 3G is larger than 1M (use at most ring=1M)"},
    {"name=x,read-ring=1048577",
     "key \"read-ring\": 1048577 is larger than 1M (use at most read-ring=1M)"},
    {"name=x,write-ring=99999999999999999999G",
     "key \"write-ring\": 99999999999999999999G is larger than 1M (use at most write-ring=1M)"},
    {"name=x,ring=0", "key \"ring\": \"0\" is not a size (such as 4096, 64K or 1M)"},
    {"name=x,ring=4KB", "key \"ring\": \"4KB\" is not a size (such as 4096, 64K or 1M)"},
    {"name=x,ring=+4", "key \"ring\": \"+4\" is not a size (such as 4096, 64K or 1M)"},
    {"name=x,ring=4K,read-ring=8K", "key \"ring\": sets both rings (remove it, or read-ring)"},
    {"name=x,ring=4K,write-ring=8K", "key \"ring\": sets both rings (remove it, or write-ring)"},
    {"name=x,connection=carrier-pigeon",
     "key \"connection\": \"carrier-pigeon\" is not a kind of connection (use one of app, echo, "
     "socket, connect, tcp, tcp-listen, pty, exec)"},
    {"name=x,connection=tcp-listen,address=[::1]:1",
     "key \"streams\": missing (connection=tcp-listen needs it)"},
    {"name=x,connection=connect", "key \"path\": missing (connection=connect needs it)"},
    {"name=..,connection=socket", NO_DEFAULT},
    {"name=.x,connection=pty", NO_DEFAULT},
    {"name=x,connection=tcp", "key \"address\": missing (connection=tcp needs it)"},
    {"name=x,connection=exec", "key \"command\": missing (connection=exec needs it)"},
    {"name=x,path=/a",
     "key \"path\": not valid with connection=app (only with socket, connect, pty)"},
    {"name=x,connection=echo,address=a:1",
     "key \"address\": not valid with connection=echo (only with tcp, tcp-listen)"},
    {"name=x,connection=tcp,address=a:1,command=ls",
     "key \"command\": not valid with connection=tcp (only with exec)"},
    {"name=x,reconnect=1",
     "key \"reconnect\": not valid with connection=app (only with socket, connect, tcp, pty, "
     "exec)"},
    {"name=x,connection=connect,path=/a,mode=600",
     "key \"mode\": not valid with connection=connect (only with socket, pty)"},
    {"name=x,connection=socket,path=/a,user=a",
     "key \"user\": not valid with connection=socket (only with connect, exec)"},
    {"name=x,connection=exec,user=a,server-user=b,command=id",
     "key \"server-user\": not valid with connection=exec (only with connect)"},
    {"name=x,connection=tcp,address=a:1,server-user=b",
     "key \"server-user\": not valid with connection=tcp (only with connect)"},
    {"name=x,server-user=a/b", "key \"server-user\": \"a/b\" is not a user (a name or a number)"},
    {"name=x,owner=-a", "key \"owner\": \"-a\" is not a user (a name or a number)"},
    {"name=x,user=a b", "key \"user\": \"a b\" is not a user (a name or a number)"},
    {"name=x,group=a:b", "key \"group\": \"a:b\" is not a group (a name or a number)"},
    {"name=x,owner=abcdefghijabcdefghijabcdefghijabc",
     "key \"owner\": \"abcdefghijabcdefghijabcdefghijabc\" is not a user (a name or a number)"},
    {"name=x,mode=0680", "key \"mode\": \"0680\" is not a mode (octal digits, such as 0660)"},
    {"name=x,mode=1777", "key \"mode\": \"1777\" is not a mode (octal digits, such as 0660)"},
    {"name=x,mode=00660", "key \"mode\": \"00660\" is not a mode (octal digits, such as 0660)"},
    {"name=x,mode=-1", "key \"mode\": \"-1\" is not a mode (octal digits, such as 0660)"},
    {"name=x,command=cat, connection=exec",
     "key \"command\": not valid with connection=app (only with exec) (command= takes everything "
     "after it, including \"connection=\": write command= last)"},
    {"connection=exec,command=cat,name = x",
     "key \"name\": missing (add name=NAME) (command= takes everything after it, including "
     "\"name=\": write command= last)"},
    {"name=x,connection=exec,command=id", NO_USER},
    {"name=x,connection=exec,command=logger,user=nobody",
     NO_USER " (command= takes everything after it, including \"user=\": write command= last)"},
    {"name=x,connection=exec,user=web,command=socat - UNIX-LISTEN:/run/x,user=web",
     "key \"command\": takes everything after it, including \"user=\" (write user= before "
     "command=; if it belongs to the command, write ''user=)"},
    {"name=x,connection=exec,user=web,command=a,b, mode = 1",
     "key \"command\": takes everything after it, including \"mode=\" (write mode= before "
     "command=; if it belongs to the command, write ''mode=)"},
    {"name=x,connection=exec,user=web,command=a,reconnect=1",
     "key \"command\": takes everything after it, including \"reconnect=\" (write reconnect= "
     "before command=; if it belongs to the command, write ''reconnect=)"},
    {"connection=exec,command=cat,names=x", "key \"name\": missing (add name=NAME)"},
    {"name=x,connection=socket,reconnect=yes", "key \"reconnect\": \"yes\" is neither 0 nor 1"},
    {"name=x,connection=pty,path=a",
     "key \"path\": \"a\" is not an absolute path (it must begin with /)"},
    {"name=x,connection=tcp,address=host",
     "key \"address\": \"host\" is not HOST:PORT (such as 10.0.0.1:5432 or [::1]:5432)"},
    {"name=x,connection=tcp,address=::1:80",
     "key \"address\": \"::1:80\" is not HOST:PORT (such as 10.0.0.1:5432 or [::1]:5432)"},
    {"name=x,connection=tcp,address=h:0",
     "key \"address\": \"h:0\" is not HOST:PORT (such as 10.0.0.1:5432 or [::1]:5432)"},
    {"name=x,connection=tcp,address=:80",
     "key \"address\": \":80\" is not HOST:PORT (such as 10.0.0.1:5432 or [::1]:5432)"},
    {"name=x\n", "key \"name\": contains a control character (a line break?)"},
};

START_TEST(a_bad_spec_is_explained)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];

    ck_assert_int_eq(spec_parse(bad_specs[_i].spec, SPEC_DECLARED, &channel, why), -EINVAL);
    ck_assert_str_eq(why, bad_specs[_i].why);
}
END_TEST

START_TEST(a_long_path_is_refused)
{
    struct spec channel;
    char why[SPEC_WHY_MAX], spec[256], expected[128];

    for (int length = SPEC_PATH_MAX; length <= SPEC_PATH_MAX + 1; length++) {
        snprintf(spec, sizeof(spec), "name=x,connection=socket,path=/%0*d", length - 1, 0);
        ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why),
                         length == SPEC_PATH_MAX ? 0 : -EINVAL);
    }
    snprintf(expected, sizeof(expected), "key \"path\": is too long: 108 characters (at most 107)");
    ck_assert_str_eq(why, expected);
}
END_TEST

/* An error line never overflows, whatever it quotes. */
START_TEST(a_huge_spec_is_refused)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];
    char *spec = malloc(100000);

    memset(spec, 'a', 99999);
    spec[99999] = '\0';
    ck_assert_int_eq(spec_parse(spec, SPEC_DECLARED, &channel, why), -EINVAL);
    ck_assert_uint_eq(strlen(why), SPEC_WHY_MAX - 1);
    free(spec);
}
END_TEST

START_TEST(a_file_is_read)
{
    static const char text[] = "name = \"web\"\n"
                               "memory = 256 # and so on\n"
                               "vif = [ 'bridge=xenbr0', [ 1, 2 ] ]\n"
                               "vchan = [ \"name=a, connection=echo\",\n"
                               "          'name=b, devid=0',\n"
                               "]\n";
    struct config config;
    char why[CONFIG_WHY_MAX];

    file_write(text, strlen(text));
    ck_assert_msg(config_read(file, "memory=128\nvchan+=['name=c']", &config, why) == 0, "%s", why);
    ck_assert_str_eq(config.name, "web");
    ck_assert_uint_eq(config.count, 3);
    ck_assert_str_eq(config.channels[0].name, "a");
    ck_assert_str_eq(config.channels[0].connection, "echo");
    ck_assert_uint_eq(config.channels[1].devid, 0);
    ck_assert_str_eq(config.channels[2].name, "c");
    config_free(&config);
}
END_TEST

START_TEST(a_file_without_channels_is_read)
{
    struct config config;
    char why[CONFIG_WHY_MAX];

    file_write("memory = 1", 10);
    ck_assert_int_eq(config_read(file, "", &config, why), 0);
    ck_assert_ptr_null(config.name);
    ck_assert_uint_eq(config.count, 0);
    ck_assert(!config.declares);
    config_free(&config);
    file_write("vchan = []", 10);
    ck_assert_int_eq(config_read(file, "", &config, why), 0);
    ck_assert(config.declares);
    config_free(&config);
}
END_TEST

/* These only look like our keys. */
START_TEST(others_keys_are_not_ours)
{
    static const char text[] = "device_model_args = [ 'vchans = 1',\n'vchans' ]\n"
                               "#vchans = 1\nnote = 'vchan = 2'\nvchan = [ 'name=a' ]\n";
    struct config config;
    char why[CONFIG_WHY_MAX];

    file_write(text, sizeof(text) - 1);
    ck_assert_msg(config_read(file, "", &config, why) == 0, "%s", why);
    ck_assert_uint_eq(config.count, 1);
    config_free(&config);
}
END_TEST

/* A line of a megabyte is accepted; a file without an end is not. */
START_TEST(a_huge_file_is_read_or_refused)
{
    static char text[(1 << 20) + 1];
    struct config config;
    char why[CONFIG_WHY_MAX];

    memset(text, ' ', sizeof(text));
    memcpy(text, "name='web'", 10);
    file_write(text, sizeof(text));
    ck_assert_msg(config_read(file, "", &config, why) == 0, "%s", why);
    ck_assert_str_eq(config.name, "web");
    config_free(&config);
    ck_assert_int_eq(config_read("/dev/zero", "", &config, why), -EFBIG);
    ck_assert_str_eq(why, "/dev/zero: File too large");
}
END_TEST

static const struct {
    const char *text, *extra, *why;
} bad_files[] = {
    {"name='web'\nmemory=1\nvchan=[\n 'name=a',\n\n 'name=b',\n 'name=c, ring=3G' ]\n", "",
     "@:7: vchan entry 3: key \"ring\": 3G is larger than 1M (use at most ring=1M)"},
    {"vchan = [ 'name=a', 'nmae=b' ]", "",
     "@:1: vchan entry 2: key \"nmae\": unknown (the keys are " KEYS},
    {"\nvchan = [ 'connection=echo' ]\n", "",
     "@:2: vchan entry 1: key \"name\": missing (add name=NAME)"},
    {"vchan = [ 'name=a',\n'name=b',\n'name=a' ]\n", "",
     "@:3: vchan entry 3: key \"name\": \"a\" is already the name of entry 1"},
    {"vchan = [ 'name=a', 'name=b, devid=2',\n'devid=2,name=c' ]\n", "",
     "@:2: vchan entry 3: key \"devid\": 2 is already the devid of entry 2"},
    {"\n\nvchan = 'name=a'\n", "",
     "@:3: vchan: is not a list (write vchan = [ \"name=NAME, ...\" ])"},
    {"vchan = [ 'name=a',\n['name=b'] ]\n", "",
     "@:2: vchan entry 2: is not a string (write \"name=NAME, ...\")"},
    {"vchan = [ '' ]\n", "", "@:1: vchan entry 1: empty KEY=VALUE (an extra comma?)"},
    {"name = [ 'web' ]\n", "", "@:1: name: is not a string"},
    {"name = 'web'\n", "vchan=['name=a,ring=3G']\n",
     "command line: vchan entry 1: key \"ring\": 3G is larger than 1M (use at most ring=1M)"},
    {"name = 'web'", "vchan=1\n",
     "command line: vchan: is not a list (write vchan = [ \"name=NAME, ...\" ])"},
    {"name = 'web'\n\n vchans = [ 'name=a' ]\n", "",
     "@:3: vchans: unknown (write vchan = [ \"name=NAME, ...\" ])"},
    {"name = 'web'\n", "vchannel+=[ 'name=a' ]\n",
     "command line: vchannel: unknown (write vchan = [ \"name=NAME, ...\" ])"},
    {"vchan = [ 'name=a' ]\nvchan += [ 'name=b' ]\n vchan=[ 'name=c' ]\n", "",
     "@:3: vchan: already set in line 1 (write vchan += [ ... ] to add to it)"},
    {"vchan_2='x'\nvchan=['name=a']\n", "",
     "@:1: vchan_2: unknown (write vchan = [ \"name=NAME, ...\" ])"},
    {"x=1; vchan=['name=a']; vchan=['name=b']\n", "",
     "@:1: vchan: already set in line 1 (write vchan += [ ... ] to add to it)"},
    {"a='#;'; vchan=['name=a'];\n# vchan=1; vchan=2\nb=\"\\\";\"; vchan = ['name=b']\n", "",
     "@:3: vchan: already set in line 1 (write vchan += [ ... ] to add to it)"},
    {"vchan=[\n'name=a'\n] ;\tvchan=['name=b']\n", "",
     "@:3: vchan: already set in line 1 (write vchan += [ ... ] to add to it)"},
    {"x=1; vchans=['name=a']\n", "", "@:1: vchans: unknown (write vchan = [ \"name=NAME, ...\" ])"},
    {"name='web'\nvchan=['name=a']\r\n", "",
     "@:2: line ends in CR LF, which xl does not accept either (sed -i 's/\\r$//' removes each "
     "CR)"},
    {"\xef\xbb\xbfname='web'\n", "",
     "@:1: begins with a byte order mark, which xl does not accept either "
     "(sed -i '1s/^\\xef\\xbb\\xbf//' removes it)"},
};

/* Nothing in these is a second vchan=. */
static const char *const good_files[] = {
    "x='; vchan=1'; vchan=['name=a'] # ; vchan=['name=b']\n",
    "vchan=[ 'name=a', # it's\n 'connection=exec, name=b, user=root, command=vchan=[1]; vchan=2' ]\n",
    "vchan=['name=a']; vchan+=['name=b']\n",
};

START_TEST(one_vchan_is_enough)
{
    struct config config;
    char why[CONFIG_WHY_MAX];

    file_write(good_files[_i], strlen(good_files[_i]));
    ck_assert_msg(config_read(file, "", &config, why) == 0, "%s", why);
    ck_assert_str_eq(config.channels[0].name, "a");
    config_free(&config);
}
END_TEST

START_TEST(a_bad_file_is_explained)
{
    struct config config;
    char why[CONFIG_WHY_MAX], expected[CONFIG_WHY_MAX];

    expand(bad_files[_i].why, expected, sizeof(expected));
    file_write(bad_files[_i].text, strlen(bad_files[_i].text));
    ck_assert_int_eq(config_read(file, bad_files[_i].extra, &config, why), -EINVAL);
    ck_assert_str_eq(why, expected);
    ck_assert_ptr_null(config.name);
    ck_assert_ptr_null(config.channels);
    ck_assert_uint_eq(config.count, 0);
}
END_TEST

/* The words after the position are libxlutil's. */
static const struct {
    const char *text, *begin;
} no_configs[] = {
    {"name = 'web'\nvchan = [ 'name=a'\n", "@:2: config parsing error near "},
    {"name = 'web'\nvchan = []\n}{\n", "@:3: config parsing error near "},
};

START_TEST(a_syntax_error_is_one_line)
{
    struct config config;
    char why[CONFIG_WHY_MAX], begin[CONFIG_WHY_MAX];

    expand(no_configs[_i].begin, begin, sizeof(begin));
    file_write(no_configs[_i].text, strlen(no_configs[_i].text));
    ck_assert_int_eq(config_read(file, "", &config, why), -EINVAL);
    ck_assert_msg(strncmp(why, begin, strlen(begin)) == 0, "%s", why);
    ck_assert_ptr_null(strchr(why, '\n'));
}
END_TEST

START_TEST(a_file_with_a_nul_is_refused)
{
    struct config config;
    char why[CONFIG_WHY_MAX], expected[CONFIG_WHY_MAX];

    expand("@: is not a text file (it contains a NUL byte)", expected, sizeof(expected));
    file_write("name='a'\0\n", 10);
    ck_assert_int_eq(config_read(file, "", &config, why), -EINVAL);
    ck_assert_str_eq(why, expected);
}
END_TEST

static const struct {
    const char *file;
    int rc;
    const char *why;
} no_files[] = {
    {"/nonexistent/web.cfg", -ENOENT, "/nonexistent/web.cfg: No such file or directory"},
    {"/tmp", -EISDIR, "/tmp: Is a directory"},
};

/* Texts that are unchanged after parsing, formatting and parsing again. */
static const char *const specs[] = {
    "name=a",
    "name=b,backend=stor age,devid=7",
    "name=c,read-ring=1K,write-ring=2K,connection=echo",
    "name=j,ring=1M",
    "name=k,ring=4K",
    "name=d,connection=socket,path=/run/a b.sock,reconnect=0",
    "name=n,connection=socket,owner=adm",
    "name=o,connection=pty",
    "name=q,streams=2,connection=socket",
    "name=s,streams=8,connection=tcp-listen,address=[::1]:80",
    "name=r,streams=4096,connection=tcp,address=a:1",
    "name=.p,connection=socket,path=/a",
    "name=e,connection=tcp,address=[::1]:5432",
    "name=g,connection=connect,path=/a,reconnect=1",
    "name=l,connection=connect,path=/a,user=nobody,server-user=postgres",
    "name=m,connection=connect,path=/a,server-user=105,reconnect=1",
    "name=h,connection=socket,path=/a,owner=www-data,group=0,mode=0660",
    "name=i,connection=exec,user=nobody,reconnect=1,command=id",
    "name=f,connection=exec,user=root,command=echo \"a\", 'b' \\ # c",
};

#define SPEC_COUNT (sizeof(specs) / sizeof(specs[0]))

START_TEST(a_channel_is_written_as_it_was_read)
{
    struct spec channel;
    char why[SPEC_WHY_MAX];
    char *text;

    ck_assert_int_eq(spec_parse(specs[_i], SPEC_DECLARED, &channel, why), 0);
    ck_assert_int_eq(spec_format(&channel, &text), 0);
    ck_assert_str_eq(text, specs[_i]);
    free(text);
}
END_TEST

static void write_config(const struct config *config)
{
    FILE *to = fopen(file, "w");

    ck_assert_ptr_nonnull(to);
    ck_assert_int_eq(config_write(config, to), 0);
    ck_assert_int_eq(fclose(to), 0);
}

START_TEST(a_config_is_written_as_it_was_read)
{
    struct spec channels[SPEC_COUNT];
    struct config config = {.name = "a \"quoted\\ name'", .channels = channels}, again;
    char why[CONFIG_WHY_MAX];

    for (; config.count < SPEC_COUNT; config.count++)
        ck_assert_int_eq(spec_parse(specs[config.count], SPEC_DECLARED, &channels[config.count], why), 0);
    write_config(&config);
    ck_assert_msg(config_read(file, "", &again, why) == 0, "%s", why);
    ck_assert_str_eq(again.name, config.name);
    ck_assert_uint_eq(again.count, config.count);
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        char *text;

        ck_assert_int_eq(spec_format(&again.channels[i], &text), 0);
        ck_assert_str_eq(text, specs[i]);
        free(text);
    }
    config_free(&again);
}
END_TEST

START_TEST(channels_are_put_and_dropped)
{
    struct config config = {.count = 0};
    struct spec channel;
    char why[SPEC_WHY_MAX];

    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(spec_parse(specs[i], SPEC_DECLARED, &channel, why), 0);
        ck_assert_int_eq(config_put(&config, &channel), 0);
    }
    config_drop(&config, "a");
    config_drop(&config, "a");
    ck_assert_uint_eq(config.count, 2);
    ck_assert_ptr_null(config_find(&config, "a"));
    ck_assert_int_eq(spec_parse("name=c,ring=4K", SPEC_DECLARED, &channel, why), 0);
    ck_assert_int_eq(config_put(&config, &channel), 0);
    ck_assert_uint_eq(config.count, 2);
    ck_assert_uint_eq(config_find(&config, "c")->read_ring, 4096);
    config_free(&config);
}
END_TEST

START_TEST(an_identity_needs_no_good_channels)
{
    static const char text[] = "name = \"web\"\nuuid = 'ABC'\nvchan = [ \"nonsense\" ]\n";
    struct config config;
    char why[CONFIG_WHY_MAX];

    file_write(text, sizeof(text) - 1);
    ck_assert_int_eq(config_read(file, "", &config, why), -EINVAL);
    ck_assert_int_eq(config_read_identity(file, &config, why), 0);
    ck_assert_str_eq(config.name, "web");
    ck_assert_str_eq(config.uuid, "ABC");
    config_free(&config);
}
END_TEST

START_TEST(an_unreadable_file_is_refused)
{
    struct config config;
    char why[CONFIG_WHY_MAX];

    ck_assert_int_eq(config_read(no_files[_i].file, "", &config, why), no_files[_i].rc);
    ck_assert_str_eq(why, no_files[_i].why);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    TCase *tcase = tcase_create("config");

    tcase_add_checked_fixture(tcase, file_make, file_remove);
    tcase_add_test(tcase, every_key_is_read);
    tcase_add_test(tcase, a_name_is_enough);
    tcase_add_test(tcase, a_command_takes_the_rest);
    tcase_add_loop_test(tcase, a_command_has_what_looks_like_keys, 0, COUNT(commands));
    tcase_add_test(tcase, who_may_and_who_runs_is_read);
    tcase_add_loop_test(tcase, reconnect_is_by_kind, 0, COUNT(reconnects));
    tcase_add_loop_test(tcase, an_address_is_read, 0, COUNT(addresses));
    tcase_add_loop_test(tcase, sizes_are_rounded_up, 0, COUNT(rings));
    tcase_add_loop_test(tcase, a_default_path_stays_in_its_directory, 0, COUNT(default_paths));
    tcase_add_loop_test(tcase, a_bad_spec_is_explained, 0, COUNT(bad_specs));
    tcase_add_test(tcase, a_long_path_is_refused);
    tcase_add_test(tcase, a_huge_spec_is_refused);
    tcase_add_loop_test(tcase, a_channel_is_written_as_it_was_read, 0, SPEC_COUNT);
    tcase_add_test(tcase, a_config_is_written_as_it_was_read);
    tcase_add_test(tcase, channels_are_put_and_dropped);
    tcase_add_test(tcase, an_identity_needs_no_good_channels);
    tcase_add_test(tcase, a_file_is_read);
    tcase_add_test(tcase, a_file_without_channels_is_read);
    tcase_add_test(tcase, others_keys_are_not_ours);
    tcase_add_test(tcase, a_huge_file_is_read_or_refused);
    tcase_add_loop_test(tcase, a_bad_file_is_explained, 0, COUNT(bad_files));
    tcase_add_loop_test(tcase, one_vchan_is_enough, 0, COUNT(good_files));
    tcase_add_loop_test(tcase, a_syntax_error_is_one_line, 0, COUNT(no_configs));
    tcase_add_test(tcase, a_file_with_a_nul_is_refused);
    tcase_add_loop_test(tcase, an_unreadable_file_is_refused, 0, COUNT(no_files));
    return check_main("config", tcase);
}
