/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vchan-frontend's config file may contain, and the errors. man/vchan-frontend.8.scd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/agent-config.h"
#include "tests/lib/check-main.h"

static char file[] = "/tmp/test-agent-config.XXXXXX";
static struct agent_config config;
static char why[AGENT_CONFIG_WHY_MAX];

static void file_make(void)
{
    int fd = mkstemp(file);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void file_remove(void)
{
    agent_config_free(&config);
    unlink(file);
    memcpy(file + strlen(file) - 6, "XXXXXX", 6);
}

static int read_text(const char *text, size_t size)
{
    FILE *to = fopen(file, "w");

    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(text, 1, size, to), size);
    ck_assert_int_eq(fclose(to), 0);
    return agent_config_read(file, &config, why);
}

START_TEST(what_stands_in_it)
{
    static const char text[] =
        "# comment\n"
        "\n"
        "vchan = [ # another\n"
        "  \"name=a, connection=socket, path=/run/a.sock, owner=33, mode=660\",\n"
        "\t'name=b,connection=exec,user=root,command=echo \"#\\'\\\\\"' ,\n"
        "# and one more\n"
        "  \"name=c, connection=app\"\n"
        "  , \"name=d, connection=tcp, address=[::1]:80\",\n"
        "] ; # the end\n";

    ck_assert_msg(read_text(text, strlen(text)) == 0, "%s", why);
    ck_assert_uint_eq(config.count, 4);
    ck_assert_str_eq(config.channels[0].path, "/run/a.sock");
    ck_assert_str_eq(config.channels[0].owner, "33");
    ck_assert_str_eq(config.channels[1].command, "echo \"#'\\\"");
    ck_assert(spec_is_app(&config.channels[2]));
    ck_assert_ptr_eq(agent_config_find(&config, "d"), &config.channels[3]);
    ck_assert_ptr_null(agent_config_find(&config, "e"));
}
END_TEST

static const char *const sound[] = {
    "", "\n", "# no newline", "vchan=[]", "vchan = [ ]\n", "vchan\t=\t[\n\n]\n;", ";",
    "vchan=['name=x,connection=echo']",
};

START_TEST(what_is_sound)
{
    ck_assert_msg(read_text(sound[_i], strlen(sound[_i])) == 0, "%s", why);
    ck_assert_uint_eq(config.count, _i == 7);
}
END_TEST

static const struct {
    const char *text, *why;
} faults[] = {
    {"name = \"guest\"\n", "1: unknown setting \"name\" (vchan is the only setting)"},
    {"vchan += []", "1: \"+\" instead of \"=\" after vchan"},
    {"\nVCHAN = []", "2: \"V\" instead of a setting"},
    {"vchan", "1: the end of the file instead of \"=\" after vchan"},
    {"vchan =\n[]",
     "1: the end of the line instead of \"[\" (write vchan = [ \"name=NAME, ...\" ])"},
    {"vchan = \"name=x\"", "1: \"\"\" instead of \"[\" (write vchan = [ \"name=NAME, ...\" ])"},
    {"vchan = [\n  name=x\n]", "2: \"n\" instead of an entry (write \"name=NAME, ...\") or \"]\""},
    {"vchan = [\n",
     "2: the end of the file instead of an entry (write \"name=NAME, ...\") or \"]\""},
    {"vchan = [,]", "1: \",\" instead of an entry (write \"name=NAME, ...\") or \"]\""},
    {"vchan = [ \"name=x, connection=echo\" \"name=y, connection=echo\" ]",
     "1: \"\"\" instead of \",\" or \"]\" after an entry"},
    {"vchan = [ \"name=x\n", "1: unterminated string (\" is missing)"},
    {"vchan = [ 'name=x\\", "1: a backslash in a string must be followed by \\, \" or '"},
    {"vchan = [ 'name=x\\n' ]", "1: a backslash in a string must be followed by \\, \" or '"},
    {"vchan = []\nvchan = []", "2: vchan is set twice"},
    {"vchan = [] vchan = []", "1: unexpected \"v\" after a setting"},
    {"vchan = [] \x01", "1: unexpected byte 0x01 after a setting"},
    {"vchan = [ \"name=x, connection=echo\",\n \"name=x, connection=app\" ]",
     "2: vchan entry 2: key \"name\": \"x\" is the name of an earlier entry"},
    {"vchan = [ \"name=x\" ]", "1: vchan entry 1: key \"connection\": missing "
                               "(add connection=KIND; app leaves the channel to applications)"},
    {"vchan = [ \"name=x, connection=connect\" ]",
     "1: vchan entry 1: key \"path\": missing (connection=connect needs it)"},
    {"vchan = [ \"name=x, backend=0, connection=echo\" ]",
     "1: vchan entry 1: key \"backend\": cannot be set in the guest (set it in the domain's xl "
     "config)"},
    {"vchan = [ \"name=x, connection=echo, ring=4K\" ]",
     "1: vchan entry 1: key \"ring\": cannot be set in the guest (set it in the domain's xl "
     "config)"},
    {"vchan = [ \"devid=1\" ]",
     "1: vchan entry 1: key \"devid\": cannot be set in the guest (set it in the domain's xl "
     "config)"},
    {"vchan = [ \"nmae=x\" ]",
     "1: vchan entry 1: key \"nmae\": unknown (the keys are name, connection, path, owner, group, "
     "mode, address, user, server-user, reconnect, command)"},
};

START_TEST(what_is_not)
{
    char line[AGENT_CONFIG_WHY_MAX];

    snprintf(line, sizeof(line), "%s:%s", file, faults[_i].why);
    ck_assert_int_eq(read_text(faults[_i].text, strlen(faults[_i].text)), -EINVAL);
    ck_assert_str_eq(why, line);
    ck_assert_uint_eq(config.count, 0);
    ck_assert_ptr_null(config.channels);
}
END_TEST

/* A truncated file must not be taken for a different one. */
START_TEST(a_part_of_it)
{
    static const char text[] = "vchan = [ \"name=a, connection=connect, path=/a\" ]";

    for (size_t i = strlen("v"); i < strlen(text); i++) {
        ck_assert_int_eq(read_text(text, i), -EINVAL);
        agent_config_free(&config);
    }
}
END_TEST

START_TEST(no_text)
{
    ck_assert_int_eq(read_text("vchan = []\0", 11), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, ": is not a text file (it contains a NUL byte)"));
    ck_assert_int_eq(agent_config_read("/nonexistent", &config, why), -ENOENT);
    ck_assert_str_eq(why, "/nonexistent: No such file or directory");
    ck_assert_int_eq(agent_config_read("/tmp", &config, why), -EISDIR);
    ck_assert_str_eq(why, "/tmp: Is a directory");
}
END_TEST

START_TEST(too_long)
{
    const size_t size = (1u << 20) + 1;
    char *text = malloc(size);

    memset(text, '\n', size);
    ck_assert_int_eq(read_text(text, size), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, ": is larger than 1M"));
    ck_assert_int_eq(read_text(text, size - 1), 0);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("agent-config");

    tcase_add_checked_fixture(tcase, file_make, file_remove);
    tcase_add_test(tcase, what_stands_in_it);
    tcase_add_loop_test(tcase, what_is_sound, 0, sizeof(sound) / sizeof(sound[0]));
    tcase_add_loop_test(tcase, what_is_not, 0, sizeof(faults) / sizeof(faults[0]));
    tcase_add_test(tcase, a_part_of_it);
    tcase_add_test(tcase, no_text);
    tcase_add_test(tcase, too_long);
    return check_main("agent-config", tcase);
}
