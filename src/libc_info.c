/*
 * libc_info.c - mallopt, mallinfo, malloc_stats, malloc_info, malloc_trim,
 * and ptm_check: the calls that ask about the heap, or set it up.
 *
 * The numbers mean what they mean in glibc: "arena" is what all arenas have
 * committed, "uordblks" that less what is free, and direct mappings are
 * counted apart. Where glibc speaks of fast bins, which hold small blocks at
 * hand, it is the free objects of runs here.
 *
 * Thread-safe, not async-signal-safe. malloc_stats writes to descriptor 2 and
 * is no cancellation point; malloc_info writes to a stream and is one.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "arenas.h"
#include "base.h"
#include "fatal.h"
#include "glibc_malloc.h"
#include "inspect.h"
#include "mapped.h"
#include "options.h"
#include "ptm.h"
#include "purge.h"
#include "tcache.h"

PTM_EXPORT int __libc_mallopt(int parameter, int value);
PTM_EXPORT struct mallinfo2 __libc_mallinfo2(void);
PTM_EXPORT struct mallinfo __libc_mallinfo(void);
PTM_EXPORT void malloc_stats(void);
PTM_EXPORT int malloc_info(int options, FILE *stream);
PTM_EXPORT int malloc_trim(size_t pad);

/* ---- mallopt ------------------------------------------------------------ */

/* Returns 1 for parameters it does not know, as glibc does: programs that set
 * those of another malloc go on. A negative value is a size of more than
 * INT_MAX bytes to glibc, that is: no limit. */
int __libc_mallopt(int parameter, int value)
{
    size_t size = value < 0 ? SIZE_MAX : (size_t)value;
    switch (parameter) {
    case M_TRIM_THRESHOLD:
        option_set(OPTION_TRIM_THRESHOLD, size);
        return 1;
    case M_TOP_PAD:
        option_set(OPTION_TOP_PAD, size);
        return 1;
    case M_MMAP_THRESHOLD:
        option_set(OPTION_MMAP_THRESHOLD, size);
        return 1;
    case M_MMAP_MAX:
        option_set(OPTION_MMAP_MAX, size);
        return 1;
    case M_PERTURB:
        option_set(OPTION_PERTURB, (unsigned char)value);
        tcache_set_limits();
        return 1;
    case M_ARENA_MAX:
        if (value > 0) {
            option_set(OPTION_ARENA_MAX, size);
        }
        return 1;
    default:
        return 1;
    }
}

static size_t in_use_bytes(const struct arena_stats *stats)
{
    return stats->system_bytes - stats->free_bytes - stats->run_bytes;
}

/* ---- mallinfo ----------------------------------------------------------- */

/* Each arena is looked at once, so that the parts fit together. */
struct mallinfo2 __libc_mallinfo2(void)
{
    struct arena_stats sum = {0};
    size_t main_top = 0;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena_stats stats;
        arena_stats(arena_numbered(number), &stats);
        arena_stats_add(&sum, &stats);
        if (arena_numbered(number) == &main_arena) {
            main_top = stats.top_bytes;
        }
    }
    struct mapped_totals mapped = mapped_get_totals();
    return (struct mallinfo2){
        .arena = sum.system_bytes,
        .ordblks = sum.free_chunks,
        .hblks = mapped.count,
        .hblkhd = mapped.bytes,
        .smblks = sum.run_blocks,
        .fsmblks = sum.run_bytes,
        .uordblks = in_use_bytes(&sum),
        .fordblks = sum.free_bytes + sum.run_bytes,
        .keepcost = main_top,
    };
}

struct mallinfo __libc_mallinfo(void)
{
    struct mallinfo2 info = __libc_mallinfo2();
    return (struct mallinfo){
        .arena = (int)info.arena,
        .ordblks = (int)info.ordblks,
        .hblks = (int)info.hblks,
        .hblkhd = (int)info.hblkhd,
        .smblks = (int)info.smblks,
        .fsmblks = (int)info.fsmblks,
        .uordblks = (int)info.uordblks,
        .fordblks = (int)info.fordblks,
        .keepcost = (int)info.keepcost,
    };
}

/* ---- malloc_stats ------------------------------------------------------- */

/* "name            = " and the number, right-aligned to ten digits. */
static void write_figure(const char *name, size_t figure)
{
    struct message message;
    message_start(&message);
    message_text(&message, name);
    for (size_t i = message.length; i < 16; i++) {
        message_text(&message, " ");
    }
    message_text(&message, " = ");
    for (size_t power = 1000000000; power > 1 && figure < power; power /= 10) {
        message_text(&message, " ");
    }
    message_number(&message, figure);
    message_write(&message);
}

static void write_heading(const char *text, size_t number)
{
    struct message message;
    message_start(&message);
    message_text(&message, text);
    if (number != SIZE_MAX) {
        message_number(&message, number);
    }
    message_text(&message, ":");
    message_write(&message);
}

void malloc_stats(void)
{
    struct mapped_totals mapped = mapped_get_totals();
    size_t system = mapped.bytes, in_use = mapped.bytes;
    for (unsigned number = 1; number <= arenas_count(); number++) {
        struct arena_stats stats;
        arena_stats(arena_numbered(number), &stats);
        write_heading("Arena ", number - 1);
        write_figure("system bytes", stats.system_bytes);
        write_figure("in use bytes", in_use_bytes(&stats));
        system += stats.system_bytes;
        in_use += in_use_bytes(&stats);
    }
    write_heading("Total (incl. mmap)", SIZE_MAX);
    write_figure("system bytes", system);
    write_figure("in use bytes", in_use);
    write_figure("max mmap regions", mapped.max_count);
    write_figure("max mmap bytes", mapped.max_bytes);
}

/* ---- malloc_info -------------------------------------------------------- */

/* Some bins of one arena, copied under its lock: writing to the stream may
 * allocate. Few at a time, since the stack may be small. */
struct bin_list {
    unsigned position; /* of the next bin to look at */
    unsigned count;
    struct bin_stats bins[16];
};

static bool copy_next_bins(struct arena *arena, struct bin_list *list)
{
    const unsigned room = sizeof list->bins / sizeof list->bins[0];
    list->count = 0;
    if (list->position >= BIN_POSITIONS || !arena_acquire(arena)) {
        return false;
    }
    while (list->count < room &&
           bin_stats_next(arena, &list->position, &list->bins[list->count])) {
        list->count++;
    }
    arena_release(arena);
    return list->count > 0;
}

static void print_sizes(FILE *stream, struct arena *arena)
{
    struct bin_list list = {.position = 0};
    fputs("<sizes>\n", stream);
    while (copy_next_bins(arena, &list)) {
        for (unsigned i = 0; i < list.count; i++) {
            const struct bin_stats *bin = &list.bins[i];
            fprintf(stream,
                    "  <size from=\"%zu\" to=\"%zu\" total=\"%zu\" "
                    "count=\"%zu\"/>\n",
                    bin->least, bin->most, bin->bytes, bin->count);
        }
    }
    fputs("</sizes>\n", stream);
}

static void print_totals(FILE *stream, const struct arena_stats *stats)
{
    fprintf(stream,
            "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n"
            "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
            stats->run_blocks, stats->run_bytes, stats->free_chunks,
            stats->free_bytes);
}

static void print_system(FILE *stream, const struct arena_stats *stats)
{
    fprintf(stream,
            "<system type=\"current\" size=\"%zu\"/>\n"
            "<system type=\"max\" size=\"%zu\"/>\n"
            "<aspace type=\"total\" size=\"%zu\"/>\n"
            "<aspace type=\"mprotect\" size=\"%zu\"/>\n",
            stats->system_bytes, stats->max_system_bytes, stats->address_bytes,
            stats->system_bytes);
}

static void print_arena(FILE *stream, unsigned number, struct arena_stats *sum)
{
    struct arena *arena = arena_numbered(number);
    struct arena_stats stats;
    arena_stats(arena, &stats);
    arena_stats_add(sum, &stats);
    fprintf(stream, "<heap nr=\"%u\">\n", number - 1);
    print_sizes(stream, arena);
    print_totals(stream, &stats);
    print_system(stream, &stats);
    fprintf(stream, "<aspace type=\"subheaps\" size=\"%zu\"/>\n</heap>\n",
            stats.heaps);
}

int malloc_info(int options, FILE *stream)
{
    if (options != 0) {
        return EINVAL;
    }
    struct arena_stats sum = {0};
    fputs("<malloc version=\"1\">\n", stream);
    for (unsigned number = 1; number <= arenas_count(); number++) {
        print_arena(stream, number, &sum);
    }
    struct mapped_totals mapped = mapped_get_totals();
    print_totals(stream, &sum);
    fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n",
            mapped.count, mapped.bytes);
    print_system(stream, &sum);
    fputs("</malloc>\n", stream);
    return 0;
}

/* ---- malloc_trim, ptm_check --------------------------------------------- */

int malloc_trim(size_t pad)
{
    return purge_everything(pad);
}

PTM_EXPORT int ptm_check(void)
{
    struct damage damage;
    if (inspect_everything(&damage)) {
        return 0;
    }
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ptm_check(): ");
    message_text(&message, damage.what);
    message_text(&message, ": address ");
    message_hex(&message, (size_t)damage.address);
    if (damage.arena != 0) {
        message_text(&message, ", arena ");
        message_number(&message, damage.arena);
    }
    message_write(&message);
    return -1;
}

PTM_ALIAS(mallopt, __libc_mallopt);
PTM_ALIAS(mallinfo, __libc_mallinfo);
PTM_ALIAS(mallinfo2, __libc_mallinfo2);
