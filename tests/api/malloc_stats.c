/*
 * malloc_stats: the lines that scripts have read for decades, on standard
 * error, with numbers that agree with mallinfo2.
 */
#include "api.h"

#include <stdio.h>

#include "contention.h"

static char text[65536];

/* What malloc_stats writes to file descriptor 2. */
static void catch_stats(void)
{
    int kept = dup(2);
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), 2);
    malloc_stats();
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
}

struct figures {
    size_t system_bytes;
    size_t used_bytes;
};

/* The next line must be "LABEL = NUMBER" with blanks as glibc has them. */
static size_t read_figure(const char **at, const char *label)
{
    size_t length = strlen(label);
    assert_memory_equal(*at, label, length);
    assert_memory_equal(*at + length, " = ", 3);
    char *end;
    size_t figure = strtoul(*at + length + 3, &end, 10);
    assert_int_equal(*end, '\n');
    *at = end + 1;
    return figure;
}

static struct figures read_figures(const char **at)
{
    struct figures figures;
    figures.system_bytes = read_figure(at, "system bytes    ");
    figures.used_bytes = read_figure(at, "in use bytes    ");
    return figures;
}

/* Reads the whole text; returns how many arenas it lists. */
static int read_stats(struct figures *arenas, struct figures *total,
                      size_t *max_regions, size_t *max_bytes)
{
    const char *at = text;
    int count = 0;
    char heading[32];
    *arenas = (struct figures){0, 0};
    snprintf(heading, sizeof heading, "Arena %d:\n", count);
    while (strncmp(at, heading, strlen(heading)) == 0) {
        at += strlen(heading);
        struct figures figures = read_figures(&at);
        assert_true(figures.used_bytes <= figures.system_bytes);
        arenas->system_bytes += figures.system_bytes;
        arenas->used_bytes += figures.used_bytes;
        count++;
        snprintf(heading, sizeof heading, "Arena %d:\n", count);
    }
    static const char total_heading[] = "Total (incl. mmap):\n";
    assert_memory_equal(at, total_heading, strlen(total_heading));
    at += strlen(total_heading);
    *total = read_figures(&at);
    *max_regions = read_figure(&at, "max mmap regions");
    *max_bytes = read_figure(&at, "max mmap bytes  ");
    assert_string_equal(at, "");
    return count;
}

static void the_lines_agree_with_mallinfo2(void **state)
{
    (void)state;
    /* Whatever these first uses allocate is there before the counting. */
    catch_stats();
    void *blocks[4] = {malloc(HEAP_BLOCK), malloc(MAPPED_BLOCK),
                       malloc(MAPPED_BLOCK), malloc(MAPPED_BLOCK)};
    free(blocks[3]);
    free(blocks[2]);
    blocks[2] = malloc(MAPPED_BLOCK);
    free(blocks[2]);
    struct mallinfo2 info = mallinfo2();
    struct figures arenas, total;
    size_t max_regions, max_bytes;
    catch_stats();
    assert_int_equal(read_stats(&arenas, &total, &max_regions, &max_bytes), 1);
    assert_int_equal(arenas.system_bytes, info.arena);
    /* tmpfile has a buffer and a FILE in use meanwhile. */
    assert_in_range(arenas.used_bytes, info.uordblks, info.uordblks + 8192);
    assert_int_equal(total.system_bytes, arenas.system_bytes + info.hblkhd);
    assert_int_equal(total.used_bytes, arenas.used_bytes + info.hblkhd);
    /* These two are the most there ever were. */
    assert_int_equal(max_regions, info.hblks + 2);
    assert_in_range(max_bytes, 3 * MAPPED_BLOCK,
                    info.hblkhd + 2 * MAPPED_BLOCK + 4 * page_size());
    free(blocks[0]);
    free(blocks[1]);
}

static void every_arena_is_listed(void **state)
{
    (void)state;
    int arenas = arenas_after_contention(PATIENCE_OF_TESTS);
    assert_true(arenas > 1);
    struct figures sum, total;
    size_t max_regions, max_bytes;
    catch_stats();
    assert_int_equal(read_stats(&sum, &total, &max_regions, &max_bytes),
                     arenas);
    assert_int_equal(sum.system_bytes, mallinfo2().arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(the_lines_agree_with_mallinfo2),
        api_test(every_arena_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
