/*
 * profile.c - the profile of a process that runs (src/profile.h), from outside.
 *
 * What the process has noted is read as all else is, and written by the
 * library's own writer (src/pprof.h). To start one, a word is written into the
 * process, and its gate closed: it takes notice when it calls malloc next. To
 * stop it, the word alone will do. No code runs in the process for this but its
 * own malloc.
 */
#define _GNU_SOURCE
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "launch.h"
#include "notes.h"
#include "number.h"
#include "pinned.h"
#include "pprof.h"
#include "target.h"

enum {
    patience = 100, /* hundredths of a second */
    default_mean = 512 << 10
};

/* ---- writing ------------------------------------------------------------- */

static int by_stack(const void *a, const void *b)
{
    const struct sample *one = a, *other = b;

    return (one->stack > other->stack) - (one->stack < other->stack);
}

static bool write_to(void *to, const void *bytes, size_t size)
{
    return fwrite(bytes, 1, size, to) == size;
}

static void write_mappings(struct pprof *pprof, int process)
{
    char path[64], *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%d/maps", process);
    maps = fopen(path, "re");
    while (maps != NULL && (length = getline(&line, &capacity, maps)) > 0)
        pprof_add_mapping(pprof, line,
                          (size_t)length - (line[length - 1] == '\n'));
    if (maps != NULL)
        fclose(maps);
    free(line);
    pprof_add_other_locations(pprof);
}

/* Returns live, allocated and pinned bytes. */
static void write_stacks(struct pprof *pprof, struct notes *notes,
                         const struct layout *layout, double sums[3])
{
    struct stack stack;
    uint64_t place = layout->stack_size;
    size_t next = 0;

    qsort(notes->samples, notes->sample_count, sizeof *notes->samples,
          by_stack);
    for (; stack_at(notes, layout, place, &stack);
         place = behind_stack(layout, &stack)) {
        double values[PPROF_VALUES] = {
            number_at(stack.bytes, layout->stack_allocations),
            number_at(stack.bytes, layout->stack_allocated),
            number_at(stack.bytes, layout->stack_live_count),
            number_at(stack.bytes, layout->stack_live),
            0,
        };

        while (next < notes->sample_count &&
               notes->samples[next].stack <= place) {
            if (notes->samples[next].stack == place)
                values[PPROF_PINNED_SPACE] +=
                    notes->samples[next].weight * notes->samples[next].pinned;
            next++;
        }
        pprof_add_sample(pprof, stack.frames, stack.depth, values);
        sums[0] += values[PPROF_INUSE_SPACE];
        sums[1] += values[PPROF_ALLOC_SPACE];
        sums[2] += values[PPROF_PINNED_SPACE];
    }
}

static void write_file(const char *path, struct notes *notes,
                       const struct memory *memory, const struct layout *layout)
{
    static struct pprof pprof;
    double sums[3] = {0};
    size_t slots = 1024;
    struct stack stack;
    uint64_t place;
    uint64_t *addresses;
    FILE *file = fopen(path, "we");

    if (file == NULL)
        fail(exit_tool, "%s: %s", path, strerror(errno));
    while (slots < 2 * (notes->stacks.used / sizeof(uint64_t) + 1))
        slots *= 2;
    addresses = calloc(1, PPROF_ROOM(slots));
    if (addresses == NULL)
        fail(exit_tool, "out of memory");
    pprof.write = write_to;
    pprof.to = file;
    pprof_begin(&pprof, addresses, slots,
                read_word(memory, layout->profile + layout->profile_mean));
    for (place = layout->stack_size; stack_at(notes, layout, place, &stack);
         place = behind_stack(layout, &stack))
        pprof_collect(&pprof, stack.frames, stack.depth);
    pprof_sort(&pprof);
    write_mappings(&pprof, memory->process);
    write_stacks(&pprof, notes, layout, sums);
    if (!pprof_end(&pprof) || fclose(file) != 0)
        fail(exit_tool, "%s: cannot be written", path);
    free(addresses);
    printf("%s: %zu samples live; about %.1f MiB live, %.1f MiB allocated, "
           "%.1f MiB pinned",
           path, notes->sample_count, sums[0] / (1 << 20), sums[1] / (1 << 20),
           sums[2] / (1 << 20));
    if (notes->lost > 0)
        printf("; no room for %" PRIu32 " samples", notes->lost);
    putchar('\n');
}

/* ---- starting and stopping ----------------------------------------------- */

static void write_word(const struct memory *memory, uint64_t at,
                       const void *bytes, size_t size)
{
    char path[64];
    int file;

    snprintf(path, sizeof path, "/proc/%d/mem", memory->process);
    file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || pwrite(file, bytes, size, (off_t)at) != (ssize_t)size)
        fail(exit_tool, "process %d cannot be written to: %s", memory->process,
             strerror(errno));
    close(file);
}

static void sleep_hundredths(long hundredths)
{
    struct timespec rest = {hundredths / 100, hundredths % 100 * 10000000};

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        ;
}

static void start_profile(const struct memory *memory,
                          const struct layout *layout, uint64_t mean)
{
    static const char closed[64];
    uint64_t at = layout->profile + layout->profile_mean;

    write_word(memory, layout->profile + layout->profile_wanted, &mean,
               sizeof mean);
    write_word(memory, layout->profile_gate, closed, layout->profile_gate_size);
    for (int i = 0; i < patience && read_word(memory, at) != mean; i++)
        sleep_hundredths(1);
    if (read_word(memory, at) != mean)
        fprintf(stderr, "ptm: it has not called malloc since: the profile "
                        "starts when it does\n");
}

static bool is_wanted(const struct memory *memory, const struct layout *layout)
{
    return read_word(memory, layout->profile + layout->profile_wanted) != 0;
}

static void stop_profile(const struct memory *memory,
                         const struct layout *layout)
{
    uint64_t mean = 0;

    write_word(memory, layout->profile + layout->profile_wanted, &mean,
               sizeof mean);
}

/* ---- the subcommand ------------------------------------------------------ */

struct profile_options {
    bool starts, stops;
    long seconds;
    uint64_t mean;
    const char *output;
    char *target[3];
};

static const char *value_of(char ***words)
{
    const char *option = **words;

    if ((*words)[1] == NULL)
        fail(exit_tool, "profile: %s takes a value; see ptm --help", option);
    return *++*words;
}

static void take_options(struct profile_options *options, char **words)
{
    for (; *words != NULL; words++) {
        if (strcmp(*words, "--start") == 0) {
            options->starts = true;
        } else if (strcmp(*words, "--stop") == 0) {
            options->stops = true;
        } else if (strcmp(*words, "--seconds") == 0) {
            options->seconds = (long)bytes_in(value_of(&words));
            if (options->seconds == 0)
                fail(exit_tool, "profile: bad value '%s'; see ptm --help",
                     *words);
        } else if (strcmp(*words, "--mean") == 0) {
            options->mean = bytes_in(value_of(&words));
            if (options->mean == 0)
                fail(exit_tool, "profile: bad value '%s'; see ptm --help",
                     *words);
        } else if (strcmp(*words, "-o") == 0) {
            options->output = value_of(&words);
        } else if ((*words)[0] == '-') {
            fail(exit_tool, "profile: unknown option '%s'; see ptm --help",
                 *words);
        } else if (options->target[0] == NULL) {
            options->target[0] = *words;
        } else {
            fail(exit_tool, "profile: one process at a time; see ptm --help");
        }
    }
}

int profile(char **words)
{
    struct profile_options options = {.mean = default_mean};
    static struct notes notes;
    struct memory memory;
    struct layout layout;
    char path[64];
    bool was_on;

    take_options(&options, words);
    open_target(&memory, "profile", options.target);
    find_profile(&layout, &memory);
    was_on = read_word(&memory, layout.profile + layout.profile_mean) != 0;
    if (options.starts || (options.seconds > 0 && !was_on))
        start_profile(&memory, &layout, options.mean);
    if (options.seconds > 0)
        sleep_hundredths(100 * options.seconds);
    if (options.stops || (options.seconds > 0 && !was_on))
        stop_profile(&memory, &layout);
    if ((!options.starts && !options.stops) || options.output != NULL) {
        snprintf(path, sizeof path, "ptm.%d.pb", memory.process);
        /* Its regions may be others by now. */
        memory_close(&memory);
        open_target(&memory, "profile", options.target);
        read_notes(&notes, &memory, &layout);
        if (notes.stacks.used == 0)
            fail(exit_tool, "process %d %s", memory.process,
                 is_wanted(&memory, &layout) ? "has noted nothing yet"
                                             : "has no profile: see --start");
        find_pinned(&notes, &memory, &layout);
        write_file(options.output != NULL ? options.output : path, &notes,
                   &memory, &layout);
    }
    memory_close(&memory);
    return 0;
}
