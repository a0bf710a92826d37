/*
 * replay.c - allocates and frees as a trace says, under the malloc that this
 * process has, and measures it.
 *
 * Each lane of the trace is a thread. They take turns: a baton, the place in
 * the trace, goes from thread to thread where the lane changes, so the order
 * is the recorded one across all of them. Every page of a block is written to
 * once. What is beside the malloc (reading the trace, passing the baton) costs
 * the same under each, and is in the time of all.
 */
#define _GNU_SOURCE
#include "replay.h"

#include "launch.h"
#include "outcome.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { touched_page = 4096, line_most = 4096, no_lane = -1 };

struct slot {
    unsigned char *mem;
    uint64_t size;
};

struct lane {
    uint32_t word; /* 1: it is this lane's turn */
    uint32_t number;
};

static struct player {
    struct trace_header header;
    const unsigned char *at, *end;
    struct slot *blocks;
    struct lane *lanes;
    uint64_t done, failed;
    uint64_t own_pages; /* of tables that are not malloc's */
    uint64_t live_bytes, peak_bytes;
    uint64_t resident[outcome_samples];
    unsigned sample_count;
    int statm;
    bool is_damaged, is_over;
} player;

/* ---- the trace ---------------------------------------------------------- */

static uint64_t next_number(void)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (player.at == player.end)
            break;
        byte = *player.at++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return number;
    }
    player.is_damaged = true;
    return 0;
}

static void *map_zero(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    require(memory != MAP_FAILED, "mmap");
    player.own_pages += (size + touched_page - 1) / touched_page;
    return memory;
}

static bool begins(const struct trace_header *header, const char *magic,
                   size_t length)
{
    return memcmp(header->magic, magic, length) == 0;
}

/* Nothing of this comes from malloc, whose memory is to be the trace's only. */
static void open_trace(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    const unsigned char *bytes;
    struct stat status;

    if (file < 0)
        fail(exit_tool, "%s: %s", path, strerror(errno));
    require(fstat(file, &status) == 0, "fstat");
    if (read(file, &player.header, sizeof player.header) !=
            sizeof player.header ||
        !begins(&player.header, ANY_TRACE, strlen(ANY_TRACE)))
        fail(exit_tool, "%s: not a trace", path);
    if (!begins(&player.header, TRACE_MAGIC, raw_magic_size))
        fail(exit_tool, "%s: a trace of another version", path);
    if (player.header.lanes > lanes_most ||
        player.header.slots > player.header.events ||
        player.header.bytes > (uint64_t)status.st_size - sizeof player.header)
        fail(exit_tool, "%s: the trace is damaged", path);
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    require(bytes != MAP_FAILED, "mmap");
    close(file);
    player.at = bytes + sizeof player.header;
    player.end = player.at + player.header.bytes;
    player.blocks =
        map_zero(((size_t)player.header.slots + 1) * sizeof *player.blocks);
    player.lanes =
        map_zero(((size_t)player.header.lanes + 1) * sizeof *player.lanes);
    player.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* ---- playing ------------------------------------------------------------ */

/* Without files, the trace among them, and the tables of this program. */
static uint64_t resident_now(void)
{
    char text[128];
    uint64_t pages = 0, of_files = 0;
    ssize_t got = pread(player.statm, text, sizeof text - 1, 0);

    if (got <= 0)
        return 0;
    text[got] = '\0';
    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &pages, &of_files);
    pages -= of_files;
    return pages > player.own_pages
               ? (pages - player.own_pages) * (uint64_t)sysconf(_SC_PAGESIZE)
               : 0;
}

static void take_sample(void)
{
    uint64_t due =
        player.header.events * player.sample_count / (outcome_samples - 1);

    if (player.sample_count < outcome_samples && player.done >= due)
        player.resident[player.sample_count++] = resident_now();
}

static void touch(struct slot *block, uint64_t from)
{
    for (uint64_t at = from; at < block->size; at += touched_page)
        block->mem[at] = 1;
}

static void note_size(struct slot *block, unsigned char *mem, uint64_t size)
{
    if (mem == NULL && size > 0) {
        player.failed++;
        size = 0;
    }
    player.live_bytes += size - block->size;
    if (player.live_bytes > player.peak_bytes)
        player.peak_bytes = player.live_bytes;
    block->mem = mem;
    block->size = size;
}

static void resize(struct slot *block, uint64_t size)
{
    uint64_t before = block->size;
    unsigned char *mem = realloc(block->mem, size);

    if (mem == NULL) {
        player.failed++;
        return;
    }
    note_size(block, mem, size);
    touch(block, before);
}

static void allocate(struct slot *block, unsigned operation)
{
    uint64_t size = next_number();
    uint64_t shift = operation == op_aligned ? next_number() : 0;
    unsigned char *mem;

    if (operation == op_calloc)
        mem = calloc(1, size);
    else if (operation == op_aligned)
        mem = memalign((size_t)1 << (shift & 31), size);
    else
        mem = malloc(size);
    note_size(block, mem, size);
    touch(block, 0);
}

/* One event; its lane's turn it is already. */
static void play(unsigned operation)
{
    uint64_t slot = next_number();
    struct slot *block = &player.blocks[slot];

    if (slot >= player.header.slots) {
        player.is_damaged = true;
        return;
    }
    if (operation == op_free) {
        free(block->mem);
        note_size(block, NULL, 0);
    } else if (operation == op_resize) {
        resize(block, next_number());
    } else {
        allocate(block, operation);
    }
    player.done++;
    take_sample();
}

/* Plays until another lane is to go on; that one, or no_lane at the end. */
static long play_lane(uint32_t number, uint64_t *operation)
{
    for (;;) {
        play((unsigned)*operation & (op_lane_follows - 1));
        if (player.is_damaged || player.at == player.end)
            return no_lane;
        *operation = next_number();
        if (*operation & op_lane_follows) {
            uint64_t next = next_number();

            if (next >= player.header.lanes) {
                player.is_damaged = true;
                return no_lane;
            }
            if (next != number)
                return (long)next;
        }
    }
}

static uint64_t pending; /* the operation that the next lane begins with */

static void wake(uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wait_for(uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    *word = 0;
}

/* All that is shared is passed on with the baton. At the end everyone is told.
 */
static void *run_lane(void *argument)
{
    struct lane *lane = argument;

    for (;;) {
        long next;

        wait_for(&lane->word);
        if (player.is_over)
            return NULL;
        next = play_lane(lane->number, &pending);
        if (next != no_lane) {
            wake(&player.lanes[next].word);
            continue;
        }
        player.is_over = true;
        for (uint32_t i = 0; i < player.header.lanes; i++)
            if (i != lane->number)
                wake(&player.lanes[i].word);
        return NULL;
    }
}

static void play_all(void)
{
    uint32_t lanes = player.header.lanes;
    pthread_t *threads = map_zero((lanes + 1) * sizeof *threads);
    uint64_t first;

    if (player.at == player.end)
        return;
    pending = next_number();
    first = next_number();
    if (player.is_damaged || !(pending & op_lane_follows) || first >= lanes) {
        player.is_damaged = true;
        return;
    }
    for (uint32_t i = 0; i < lanes; i++) {
        player.lanes[i].number = i;
        require(pthread_create(&threads[i], NULL, run_lane, &player.lanes[i]) ==
                    0,
                "pthread_create");
    }
    wake(&player.lanes[first].word);
    for (uint32_t i = 0; i < lanes; i++)
        pthread_join(threads[i], NULL);
}

/* ---- what came out ------------------------------------------------------ */

static uint64_t microseconds_used(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static struct outcome play_here(const char *path)
{
    struct outcome outcome = {0};
    uint64_t before;

    open_trace(path);
    before = microseconds_used();
    play_all();
    if (player.is_damaged || player.done != player.header.events)
        fail(exit_tool, "%s: the trace is damaged", path);
    outcome.microseconds = microseconds_used() - before;
    outcome.end_resident = resident_now();
    outcome.peak_live = player.peak_bytes;
    outcome.failed = player.failed;
    outcome.sample_count = player.sample_count;
    for (unsigned i = 0; i < player.sample_count; i++) {
        outcome.resident[i] = player.resident[i];
        if (player.resident[i] > outcome.peak_resident)
            outcome.peak_resident = player.resident[i];
    }
    return outcome;
}

/* ---- the subcommand ----------------------------------------------------- */

int replay(char **words)
{
    bool is_for_parent = words[0] != NULL && strcmp(words[0], "--numbers") == 0;
    struct outcome outcome;

    words += is_for_parent;
    if (words[0] != NULL && words[0][0] == '-')
        fail(exit_tool, "replay: unknown option '%s'; see ptm --help",
             words[0]);
    if (words[0] == NULL || words[1] != NULL)
        fail(exit_tool, "replay: one trace is wanted; see ptm --help");
    outcome = play_here(words[0]);
    if (is_for_parent) {
        outcome_write(&outcome);
    } else {
        outcome_print_heading(&outcome);
        outcome_print("this one", &outcome, outcome.peak_resident);
    }
    return 0;
}
