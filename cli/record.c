/*
 * record.c - runs the command with the recorder before ptm, then makes a trace
 * of what was recorded (trace.h): events in order, addresses turned into slots.
 */
#define _GNU_SOURCE
#include "record.h"

#include "launch.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct entry {
    uint64_t address; /* 0: none */
    uint64_t size;
    uint32_t slot; /* no_slot: freed; the next block there comes here again */
};

static const uint32_t no_slot = UINT32_MAX;

/* As one was recorded. */
struct event {
    enum operation operation;
    uint64_t order, address, size, alignment;
};

struct converter {
    const unsigned char *raw;
    size_t raw_size;
    uint64_t *places; /* of each event in the raw file, by its order; 0: none */
    uint64_t event_count;
    struct entry *entries; /* a hash table of live blocks */
    size_t entry_room, entry_used;
    uint32_t *free_slots;
    size_t free_count, free_room;
    struct entry *resized; /* by lane: what a realloc is about to move */
    struct trace_header header;
    uint64_t live_bytes;
    uint32_t lane;
    FILE *trace;
};

static void *allocate(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);

    require(block != NULL, "calloc");
    return block;
}

/* ---- live blocks by address --------------------------------------------- */

/* Every bit of the address counts: those of neighbours differ in few. */
static size_t hash_of(uint64_t address)
{
    address = (address ^ address >> 32) * 0xbf58476d1ce4e5b9u;
    return (size_t)(address ^ address >> 29);
}

static struct entry *find(const struct converter *converter, uint64_t address)
{
    size_t mask = converter->entry_room - 1;
    size_t i = hash_of(address) & mask;

    while (converter->entries[i].address != 0 &&
           converter->entries[i].address != address)
        i = (i + 1) & mask;
    return &converter->entries[i];
}

static bool is_live(const struct entry *entry)
{
    return entry->address != 0 && entry->slot != no_slot;
}

/* Makes room by forgetting what was removed, and doubles if that is little. */
static void grow(struct converter *converter)
{
    struct entry *old = converter->entries;
    size_t old_room = converter->entry_room, live = 0;

    for (size_t i = 0; i < old_room; i++)
        live += is_live(&old[i]);
    if (old_room == 0)
        converter->entry_room = 1 << 16;
    else if (4 * live > old_room)
        converter->entry_room = 2 * old_room;
    converter->entries =
        allocate(converter->entry_room, sizeof *converter->entries);
    converter->entry_used = 0;
    for (size_t i = 0; i < old_room; i++) {
        if (!is_live(&old[i]))
            continue;
        *find(converter, old[i].address) = old[i];
        converter->entry_used++;
    }
    free(old);
}

static void keep(struct converter *converter, struct entry entry)
{
    struct entry *place;

    if (2 * (converter->entry_used + 1) > converter->entry_room)
        grow(converter);
    place = find(converter, entry.address);
    converter->entry_used += place->address == 0;
    *place = entry;
    converter->live_bytes += entry.size;
    if (converter->live_bytes > converter->header.peak_bytes)
        converter->header.peak_bytes = converter->live_bytes;
}

/* Takes the block at the address out; no_slot says that there is none. */
static struct entry take(struct converter *converter, uint64_t address)
{
    struct entry none = {0, 0, no_slot}, entry, *place;

    if (converter->entry_room == 0)
        return none;
    place = find(converter, address);
    if (place->address != address || place->slot == no_slot)
        return none;
    entry = *place;
    place->slot = no_slot;
    converter->live_bytes -= entry.size;
    return entry;
}

static uint32_t new_slot(struct converter *converter)
{
    return converter->free_count > 0
               ? converter->free_slots[--converter->free_count]
               : converter->header.slots++;
}

static void free_slot(struct converter *converter, uint32_t slot)
{
    if (converter->free_count == converter->free_room) {
        converter->free_room =
            converter->free_room ? 2 * converter->free_room : 1024;
        converter->free_slots =
            realloc(converter->free_slots,
                    converter->free_room * sizeof *converter->free_slots);
        require(converter->free_slots != NULL, "realloc");
    }
    converter->free_slots[converter->free_count++] = slot;
}

/* ---- writing ------------------------------------------------------------ */

static void write_number(struct converter *converter, uint64_t number)
{
    do {
        unsigned char byte = number & 127;

        number >>= 7;
        putc_unlocked(byte | (number ? 128 : 0), converter->trace);
        converter->header.bytes++;
    } while (number > 0);
}

static void write_operation(struct converter *converter,
                            enum operation operation, uint32_t lane,
                            uint32_t slot)
{
    bool is_other = lane != converter->lane;

    write_number(converter,
                 (uint64_t)operation | (is_other ? op_lane_follows : 0));
    if (is_other)
        write_number(converter, lane);
    converter->lane = lane;
    write_number(converter, slot);
    converter->header.events++;
}

static void convert_free(struct converter *converter, uint32_t lane,
                         uint64_t address)
{
    struct entry entry = take(converter, address);

    if (entry.slot == no_slot)
        return;
    write_operation(converter, op_free, lane, entry.slot);
    free_slot(converter, entry.slot);
}

static void convert_allocation(struct converter *converter,
                               enum operation operation, uint32_t lane,
                               const struct event *event)
{
    struct entry entry = {event->address, event->size, new_slot(converter)};

    write_operation(converter, operation, lane, entry.slot);
    write_number(converter, event->size);
    if (operation == op_aligned)
        write_number(converter, event->alignment);
    converter->header.allocations++;
    keep(converter, entry);
}

/* Behind a realloc that has failed the old block is as it was. One of a block
 * that was there before the recording is an allocation. */
static void convert_resize(struct converter *converter, uint32_t lane,
                           const struct event *event)
{
    struct entry entry = converter->resized[lane];

    converter->resized[lane].slot = no_slot;
    if (entry.slot == no_slot) {
        if (event->size != RAW_FAILED)
            convert_allocation(converter, op_malloc, lane, event);
        return;
    }
    entry.address = event->address;
    if (event->size != RAW_FAILED) {
        entry.size = event->size;
        write_operation(converter, op_resize, lane, entry.slot);
        write_number(converter, entry.size);
    }
    keep(converter, entry);
}

static void convert_event(struct converter *converter, uint32_t lane,
                          const struct event *event)
{
    switch (event->operation) {
    case op_free:
        convert_free(converter, lane, event->address);
        break;
    case op_resize_from:
        converter->resized[lane] = take(converter, event->address);
        break;
    case op_resize:
        convert_resize(converter, lane, event);
        break;
    case op_malloc:
    case op_calloc:
    case op_aligned:
        convert_allocation(converter, event->operation, lane, event);
        break;
    default:
        break;
    }
}

/* ---- reading what was recorded ------------------------------------------ */

/* Where it does not say which it is in the order, it is `order`. Returns how
 * many words it has; 0: it is not whole. */
static uint32_t read_event(const uint64_t *words, uint32_t count,
                           uint64_t order, struct event *event)
{
    bool is_elsewhere = (words[0] & RAW_ORDER_FOLLOWS) != 0;
    uint64_t size = words[0] >> raw_size_shift;
    uint32_t length = 1u + is_elsewhere + (size == raw_long);

    if (length > count)
        return 0;
    if (is_elsewhere)
        order = words[1];
    if (size == raw_long)
        size = words[length - 1];
    *event = (struct event){
        .operation = (enum operation)(words[0] & RAW_OPERATION),
        .order = order,
        .address = words[0] & RAW_ADDRESS,
        .size = size & (((uint64_t)1 << raw_alignment_shift) - 1),
        .alignment = size >> raw_alignment_shift,
    };
    return length;
}

/* Calls for each event of the file, with its place. */
static void for_each_event(struct converter *converter,
                           void (*call)(struct converter *converter,
                                        uint32_t lane, uint64_t order,
                                        uint64_t place))
{
    for (size_t at = raw_chunk_size; at + raw_chunk_size <= converter->raw_size;
         at += raw_chunk_size) {
        const struct raw_chunk *chunk = (const void *)(converter->raw + at);
        uint32_t count = chunk->count < raw_words ? chunk->count : raw_words;
        uint64_t order = 0;
        struct event event;

        for (uint32_t i = 0, length; i < count; i += length) {
            length = read_event(&chunk->words[i], count - i, order, &event);
            if (length == 0)
                break;
            call(converter, chunk->lane, event.order,
                 at + offsetof(struct raw_chunk, words) + i * sizeof(uint64_t));
            order = event.order + 1;
        }
    }
}

/* There are no more events than words, nor lanes than chunks. */
static void measure(struct converter *converter, uint32_t lane, uint64_t order,
                    uint64_t place)
{
    (void)place;
    if (order >= converter->raw_size / sizeof(uint64_t) ||
        lane >= converter->raw_size / raw_chunk_size)
        fail(exit_tool, "what was recorded is damaged");
    if (order >= converter->event_count)
        converter->event_count = order + 1;
    if (lane >= converter->header.lanes)
        converter->header.lanes = lane + 1;
}

static void note_place(struct converter *converter, uint32_t lane,
                       uint64_t order, uint64_t place)
{
    (void)lane;
    converter->places[order] = place;
}

static void convert_at(struct converter *converter, uint64_t place)
{
    const struct raw_chunk *chunk =
        (const void *)(converter->raw +
                       place / raw_chunk_size * raw_chunk_size);
    struct event event;

    read_event((const void *)(converter->raw + place), raw_event_most, 0,
               &event);
    convert_event(converter, chunk->lane, &event);
}

/* Its name goes at once: whatever comes, it does not stay. */
static void map_raw(struct converter *converter, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (file < 0)
        fail(exit_tool, "nothing was recorded");
    unlink(path);
    require(fstat(file, &status) == 0, "fstat");
    converter->raw_size = (size_t)status.st_size;
    converter->raw =
        mmap(NULL, converter->raw_size, PROT_READ, MAP_PRIVATE, file, 0);
    require(converter->raw != MAP_FAILED, "mmap");
    close(file);
    if (converter->raw_size < raw_magic_size ||
        memcmp(converter->raw, RAW_MAGIC, raw_magic_size) != 0)
        fail(exit_tool, "the recorder is of another version than this tool");
}

static void convert(const char *raw_path, const char *trace_path)
{
    struct converter converter = {.lane = UINT32_MAX};

    map_raw(&converter, raw_path);
    for_each_event(&converter, measure);
    converter.places =
        allocate(converter.event_count, sizeof *converter.places);
    converter.resized =
        allocate(converter.header.lanes, sizeof *converter.resized);
    for (uint32_t i = 0; i < converter.header.lanes; i++)
        converter.resized[i].slot = no_slot;
    for_each_event(&converter, note_place);
    converter.trace = fopen(trace_path, "we");
    if (converter.trace == NULL)
        fail(exit_tool, "%s: %s", trace_path, strerror(errno));
    memcpy(converter.header.magic, TRACE_MAGIC, raw_magic_size);
    fwrite(&converter.header, sizeof converter.header, 1, converter.trace);
    for (uint64_t i = 0; i < converter.event_count; i++)
        if (converter.places[i] != 0)
            convert_at(&converter, converter.places[i]);
    rewind(converter.trace);
    fwrite(&converter.header, sizeof converter.header, 1, converter.trace);
    if (ferror(converter.trace) || fclose(converter.trace) != 0)
        fail(exit_tool, "%s: cannot be written", trace_path);
    fprintf(stderr,
            "ptm: %s: %" PRIu64 " events of %" PRIu32 " thread%s at a time, "
            "%" PRIu64 " bytes live at most\n",
            trace_path, converter.header.events, converter.header.lanes,
            converter.header.lanes == 1 ? "" : "s",
            converter.header.peak_bytes);
}

/* ---- the subcommand ----------------------------------------------------- */

_Noreturn static void run_recorded(const struct command *command,
                                   const char *raw_path)
{
    char library[PATH_MAX], recorder[PATH_MAX], process[32];

    find_library(library);
    find_own_file(recorder, PTM_INSTALLED_RECORDER, "libptm-record.so");
    snprintf(process, sizeof process, "%d", (int)getpid());
    require(setenv("PTM_RECORD", raw_path, 1) == 0 &&
                setenv("PTM_RECORD_PROCESS", process, 1) == 0,
            "setenv");
    preload(library);
    preload(recorder);
    become(command);
}

int record(char **words)
{
    static struct command command;
    const char *trace = "ptm.trace";
    char raw[PATH_MAX], folder[PATH_MAX];
    int status;
    pid_t child;

    if (words[0] != NULL && strcmp(words[0], "-o") == 0) {
        if (words[1] == NULL)
            fail(exit_tool, "record: -o takes a file; see ptm --help");
        trace = words[1];
        words += 2;
    }
    words = skip_end_of_options("record", words);
    find_command(&command, words);
    require(getcwd(folder, sizeof folder) != NULL, "getcwd");
    if (snprintf(raw, sizeof raw, "%s%s%s.raw", trace[0] == '/' ? "" : folder,
                 trace[0] == '/' ? "" : "/", trace) >= (int)sizeof raw)
        fail(exit_tool, "record: the file's name is too long");
    child = fork();
    require(child >= 0, "fork");
    if (child == 0)
        run_recorded(&command, raw);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    require(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) >= exit_tool &&
        access(raw, F_OK) != 0)
        return WEXITSTATUS(status);
    convert(raw, trace);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
