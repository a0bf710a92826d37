/*
 * profile.c - the profile of a process that runs (src/profile.h), from outside.
 *
 * What the process has noted is read as all else is, and written by the
 * library's own writer (src/pprof.h). To start one, a word is written into the
 * process, and its gate closed: it takes notice when it calls malloc next. To
 * stop it, the word alone will do. No code runs in the process for this but its
 * own malloc.
 *
 * What blocks pin is told by src/pins.h's rule, of the heaps as they are read.
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

#include "account.h"
#include "launch.h"
#include "pprof.h"
#include "why.h"

enum {
    table_most = 64 << 20,
    quarter_size = 4096,
    quarters = 4,
    objects_most = 1024,
    patience = 100, /* hundredths of a second */
    default_mean = 512 << 10
};

/* One table of the process, as it was. */
struct table {
    unsigned char *bytes;
    uint64_t used;
};

struct sample {
    uint64_t mem;
    double weight;
    uint64_t stack; /* place */
    double pinned;
};

struct notes {
    struct table samples_table, stacks;
    struct sample *samples; /* by address */
    size_t sample_count;
    size_t next; /* the first that the walk has not come to */
    struct block before;
    struct block objects[objects_most]; /* of one run */
    size_t object_count;
    uint64_t run_size;
};

static const char damaged[] = "the profile of this process is damaged";

/* ---- reading what it has noted ------------------------------------------- */

static bool is_described(const struct layout *layout)
{
    return layout_has(layout->profile) && layout_has(layout->profile_wanted) &&
           layout_has(layout->profile_mean) &&
           layout_has(layout->profile_gate) &&
           layout_has(layout->profile_gate_size) &&
           layout_has(layout->samples) && layout_has(layout->stacks) &&
           layout_has(layout->table_start) && layout_has(layout->table_used) &&
           layout_has(layout->sample_size) && layout_has(layout->sample_mem) &&
           layout_has(layout->sample_weight) &&
           layout_has(layout->sample_stack) && layout_has(layout->stack_size) &&
           layout_has(layout->stack_depth) &&
           layout_has(layout->stack_allocations) &&
           layout_has(layout->stack_allocated) &&
           layout_has(layout->stack_live_count) &&
           layout_has(layout->stack_live) && layout_has(layout->stack_frames);
}

static bool is_plausible(const struct layout *layout)
{
    uint64_t most = 256;

    return layout->sample_size <= most && layout->sample_size >= 8 &&
           layout->sample_mem <= layout->sample_size - 8 &&
           layout->sample_weight <= layout->sample_size - 8 &&
           layout->sample_stack <= layout->sample_size - 4 &&
           layout->stack_size <= most && layout->stack_size >= 8 &&
           layout->stack_frames == layout->stack_size &&
           layout->stack_depth <= layout->stack_size - 4 &&
           layout->stack_allocations <= layout->stack_size - 8 &&
           layout->stack_allocated <= layout->stack_size - 8 &&
           layout->stack_live_count <= layout->stack_size - 8 &&
           layout->stack_live <= layout->stack_size - 8 &&
           layout->profile_gate_size <= 64;
}

static uint64_t read_word(const struct memory *memory, uint64_t at)
{
    uint64_t word;

    if (!memory_read(memory, at, &word, sizeof word))
        fail(exit_tool, "%s", damaged);
    return word;
}

static void read_table(struct table *table, const struct memory *memory,
                       const struct layout *layout, uint64_t at)
{
    uint64_t start = read_word(memory, at + layout->table_start);

    table->used = start != 0 ? read_word(memory, at + layout->table_used) : 0;
    if (table->used == 0)
        return;
    table->bytes = table->used <= table_most ? malloc(table->used) : NULL;
    /* What comes before the first entry is nothing, and may be no memory. */
    if (table->bytes == NULL)
        fail(exit_tool, "%s", damaged);
    if (!memory_read(memory, start, table->bytes, table->used))
        table->used = 0;
}

static double number_at(const unsigned char *bytes, uint64_t at)
{
    double number;

    memcpy(&number, bytes + at, sizeof number);
    return number >= 0 && number < 1e18 ? number : 0;
}

static uint64_t word_at(const unsigned char *bytes, uint64_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof word);
    return word;
}

static int by_address(const void *a, const void *b)
{
    const struct sample *one = a, *other = b;

    return (one->mem > other->mem) - (one->mem < other->mem);
}

static void read_notes(struct notes *notes, const struct memory *memory,
                       const struct layout *layout)
{
    uint64_t size = layout->sample_size;

    read_table(&notes->samples_table, memory, layout, layout->samples);
    read_table(&notes->stacks, memory, layout, layout->stacks);
    notes->samples =
        calloc(notes->samples_table.used / size + 1, sizeof *notes->samples);
    if (notes->samples == NULL)
        fail(exit_tool, "out of memory");
    for (uint64_t at = size; at + size <= notes->samples_table.used;
         at += size) {
        const unsigned char *bytes = notes->samples_table.bytes + at;
        struct sample sample = {
            word_at(bytes, layout->sample_mem),
            number_at(bytes, layout->sample_weight),
            layout_half_at(bytes, layout->sample_stack),
            0,
        };

        if (sample.mem != 0)
            notes->samples[notes->sample_count++] = sample;
    }
    qsort(notes->samples, notes->sample_count, sizeof *notes->samples,
          by_address);
}

/* ---- what samples pin ---------------------------------------------------- */

static double share_of(uint64_t from, uint64_t to, uint64_t page)
{
    uint64_t end = page + page_size;
    bool is_shared = from > page && to < end;
    uint64_t start = from > page ? from : page;
    uint64_t stop = to < end ? to : end;

    return stop > start ? (double)(stop - start) / (is_shared ? 2 : 1) : 0;
}

/* The walk goes up in each heap, but from heap to heap in any order. */
static struct sample *sample_of(struct notes *notes, uint64_t mem)
{
    size_t from = 0, to = notes->sample_count;

    if (notes->next < to && notes->samples[notes->next].mem == mem)
        return &notes->samples[notes->next++];
    if (notes->next > 0 && notes->next < to &&
        notes->samples[notes->next - 1].mem < mem &&
        notes->samples[notes->next].mem > mem)
        return NULL;
    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (notes->samples[middle].mem < mem)
            from = middle + 1;
        else
            to = middle;
    }
    notes->next = from;
    return from < notes->sample_count && notes->samples[from].mem == mem
               ? &notes->samples[notes->next++]
               : NULL;
}

static uint64_t overlap(const struct block *block, uint64_t from, uint64_t to)
{
    uint64_t start = block->address > from ? block->address : from;
    uint64_t end = block->address + block->size;
    uint64_t stop = end < to ? end : to;

    return stop > start ? stop - start : 0;
}

/* All objects of a run have been seen. */
static void share_in_run(struct notes *notes)
{
    uint64_t start = notes->objects[0].address;
    double share[quarters] = {0};

    for (int i = 0; i < quarters; i++) {
        uint64_t from = start + (uint64_t)i * quarter_size, free_bytes = 0;
        size_t live = 0;

        for (size_t k = 0; k < notes->object_count; k++) {
            const struct block *object = &notes->objects[k];
            uint64_t bytes = overlap(object, from, from + quarter_size);

            if (object->state == block_free)
                free_bytes += bytes;
            else if (object->state == block_live)
                live += bytes > 0;
        }
        share[i] = live > 0 ? (double)free_bytes / (double)live : 0;
    }
    for (size_t k = 0; k < notes->object_count; k++) {
        const struct block *object = &notes->objects[k];
        struct sample *sample =
            object->state == block_live ? sample_of(notes, object->mem) : NULL;

        for (int i = 0; sample != NULL && i < quarters; i++) {
            uint64_t from = start + (uint64_t)i * quarter_size;

            if (overlap(object, from, from + quarter_size) > 0)
                sample->pinned += share[i];
        }
    }
    notes->object_count = 0;
}

static bool is_free(const struct block *block)
{
    return block->run_class == 0 &&
           (block->state == block_free || block->state == block_top);
}

static bool is_live_chunk(const struct block *block)
{
    return block->run_class == 0 && block->state == block_live;
}

static void pin_by_chunks(struct notes *notes, const struct block *block)
{
    const struct block *before = &notes->before;
    bool follows = before->address + before->size == block->address;
    uint64_t page_mask = ~(uint64_t)(page_size - 1);

    if (follows && is_free(before) && is_live_chunk(block)) {
        struct sample *sample = sample_of(notes, block->mem);

        if (sample != NULL)
            sample->pinned += share_of(before->address, block->address,
                                       block->address & page_mask);
    } else if (follows && is_live_chunk(before) && is_free(block)) {
        struct sample *sample = sample_of(notes, before->mem);

        if (sample != NULL)
            sample->pinned +=
                share_of(block->address, block->address + block->size,
                         (block->address - 1) & page_mask);
    }
}

static void see_block(void *context, const struct block *block)
{
    struct notes *notes = context;
    uint64_t run = notes->object_count > 0 ? notes->objects[0].address : 0;

    if (notes->object_count > 0 &&
        (block->run_class == 0 ||
         block->address / notes->run_size != run / notes->run_size))
        share_in_run(notes);
    if (block->run_class != 0) {
        if (notes->object_count < objects_most)
            notes->objects[notes->object_count++] = *block;
    } else {
        pin_by_chunks(notes, block);
    }
    notes->before = *block;
}

static void see_heap(void *context, const struct heap_view *heap,
                     const unsigned char *states)
{
    struct notes *notes = context;

    (void)heap, (void)states;
    if (notes->object_count > 0)
        share_in_run(notes);
    notes->before = (struct block){0};
}

static void take_pins(struct notes *notes, const struct memory *memory,
                      const struct layout *layout)
{
    struct account_watcher watcher = {notes, see_heap, see_block};
    struct account account;

    notes->run_size =
        layout_has(layout->run_bytes) && layout->run_bytes >= quarter_size
            ? layout->run_bytes
            : quarters * quarter_size;
    if (!account_take(&account, memory, layout, &watcher))
        fail(exit_tool, "out of memory");
    if (notes->object_count > 0)
        share_in_run(notes);
    account_free(&account);
}

/* ---- writing ------------------------------------------------------------- */

struct stack {
    const unsigned char *bytes;
    uint64_t place;
    uint32_t depth;
    const uint64_t *frames;
};

/* The stack at a place, which the next one is behind; false at the end. */
static bool stack_at(const struct notes *notes, const struct layout *layout,
                     uint64_t place, struct stack *stack)
{
    uint64_t left;

    if (place + layout->stack_size > notes->stacks.used)
        return false;
    stack->place = place;
    stack->bytes = notes->stacks.bytes + place;
    stack->depth = layout_half_at(stack->bytes, layout->stack_depth);
    left = notes->stacks.used - place - layout->stack_size;
    stack->frames = (const void *)(stack->bytes + layout->stack_frames);
    return stack->depth <= PPROF_FRAMES &&
           stack->depth * sizeof(uint64_t) <= left;
}

static uint64_t behind(const struct layout *layout, const struct stack *stack)
{
    return stack->place + layout->stack_size + stack->depth * sizeof(uint64_t);
}

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
         place = behind(layout, &stack)) {
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
         place = behind(layout, &stack))
        pprof_collect(&pprof, stack.frames, stack.depth);
    pprof_sort(&pprof);
    write_mappings(&pprof, memory->process);
    write_stacks(&pprof, notes, layout, sums);
    if (!pprof_end(&pprof) || fclose(file) != 0)
        fail(exit_tool, "%s: cannot be written", path);
    free(addresses);
    printf("%s: %zu samples live; about %.1f MiB live, %.1f MiB allocated, "
           "%.1f MiB pinned\n",
           path, notes->sample_count, sums[0] / (1 << 20), sums[1] / (1 << 20),
           sums[2] / (1 << 20));
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

/* A number of bytes, which may end in k, m or g; 0: it is none. */
static uint64_t bytes_in(const char *word)
{
    static const char units[] = "kmg";
    char *end;
    uint64_t number = strtoull(word, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end | 0x20) : NULL;

    if (unit != NULL) {
        number <<= 10 * (unit - units + 1);
        end++;
    }
    return *word >= '0' && *word <= '9' && *end == '\0' && number >> 40 == 0
               ? number
               : 0;
}

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

static void find_profile(struct layout *layout, const struct memory *memory)
{
    const char *fault = layout_find(layout, memory);

    if (fault != NULL)
        fail(exit_tool, "process %d: %s", memory->process, fault);
    if (!is_described(layout))
        fail(exit_tool, "process %d: its ptm is too old for profiles",
             memory->process);
    if (!is_plausible(layout))
        fail(exit_tool, "%s", damaged);
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
            fail(exit_tool, "process %d has no profile: see --start",
                 memory.process);
        take_pins(&notes, &memory, &layout);
        write_file(options.output != NULL ? options.output : path, &notes,
                   &memory, &layout);
    }
    memory_close(&memory);
    return 0;
}
