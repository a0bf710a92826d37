/*
 * Options at run time, by name; and those that a program brings along, which
 * this one does.
 */
#include "api.h"

#include <stdio.h>

const char ptm_options[] = "top_pad=12345,trim_threshold=7m";

static size_t value_of(const char *key)
{
    size_t value = 0;
    assert_int_equal(ptm_option_get(key, &value), 0);
    return value;
}

static void what_the_program_brings_is_in_force(void **state)
{
    (void)state;
    assert_int_equal(value_of("top_pad"), 12345);
    assert_int_equal(value_of("trim_threshold"), 7 << 20);
}

static void the_environment_overrides_the_program(void **state)
{
    (void)state;
    char command[4200] = "PTM_OPTIONS=top_pad=4 ";
    ssize_t length = readlink("/proc/self/exe", command + strlen(command),
                              sizeof command - 100);
    assert_true(length > 0);
    strcat(command, " top_pad");
    FILE *answer = popen(command, "r");
    size_t pad = 0;
    assert_non_null(answer);
    assert_int_equal(fscanf(answer, "%zu", &pad), 1);
    assert_int_equal(pclose(answer), 0);
    assert_int_equal(pad, 4);
}

static void a_value_that_is_set_can_be_got(void **state)
{
    (void)state;
    assert_int_equal(ptm_option_set("mmap_max", 77), 0);
    assert_int_equal(value_of("mmap_max"), 77);
    mallopt(M_MMAP_MAX, 65536);
    assert_int_equal(value_of("mmap_max"), 65536);
}

static void a_value_that_is_set_takes_effect(void **state)
{
    (void)state;
    size_t before = mallinfo2().hblks;
    assert_int_equal(ptm_option_set("mmap_threshold", 1 << 30), 0);
    void *block = opaque(malloc(MAPPED_BLOCK));
    assert_int_equal(mallinfo2().hblks, before);
    free(block);
    assert_int_equal(ptm_option_set("mmap_threshold", 256 << 10), 0);
    block = opaque(malloc(MAPPED_BLOCK));
    assert_int_equal(mallinfo2().hblks, before + 1);
    free(block);
    assert_int_equal(ptm_option_set("perturb", 0x5a), 0);
    block = opaque(malloc(100));
    assert_true(all_bytes_are(block, 100, 0xa5));
    free(block);
    assert_int_equal(ptm_option_set("perturb", 0), 0);
}

static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    size_t value = 5;
    assert_int_equal(ptm_option_get("no_such", &value), ENOENT);
    assert_int_equal(ptm_option_get("", &value), ENOENT);
    assert_int_equal(value, 5);
    assert_int_equal(ptm_option_set("no_such", 1), ENOENT);
    assert_int_equal(ptm_option_set("perturb", 256), EINVAL);
    assert_int_equal(value_of("perturb"), 0);
    assert_int_equal(ptm_option_set("hardened", 1), EPERM);
    assert_int_equal(value_of("hardened"), 0);
    assert_int_equal(ptm_option_set("kinds", 0), EPERM);
    assert_int_equal(value_of("kinds"), 1);
}

/* Blocks that were made in the other mode would not be known. */
static void hardened_mode_cannot_be_changed(void **state)
{
    (void)state;
    char *block = opaque(malloc(5000));
    size_t mode = value_of("hardened");
    assert_int_equal(ptm_option_set("hardened", !mode), EPERM);
    assert_int_equal(ptm_option_set("hardened", mode), 0);
    assert_int_equal(ptm_option_set("hardened", 2), EINVAL);
    assert_int_equal(value_of("hardened"), mode);
    free(block);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return printf("%zu\n", value_of(argv[1])) < 0;
    }
    const struct CMUnitTest tests[] = {
        api_test(what_the_program_brings_is_in_force),
        api_test(the_environment_overrides_the_program),
        api_test(a_value_that_is_set_can_be_got),
        api_test(a_value_that_is_set_takes_effect),
        api_test(what_is_not_known_is_refused),
        api_test(hardened_mode_cannot_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
