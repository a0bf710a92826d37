/*
 * figures.c - the account for programs: JSON, and Prometheus' text.
 */
#define _GNU_SOURCE
#include "figures.h"

#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t retained(const struct account *account)
{
    return account->reserved_bytes - account->committed_bytes;
}

static void print_json_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_json_arenas(const struct account *account)
{
    bool is_first = true;

    printf(",\"arenas\":[");
    for (size_t i = 0; i < account->arena_count; i++) {
        const struct arena_account *arena = &account->arenas[i];

        if (arena->heaps == 0)
            continue;
        printf("%s{\"number\":%u,\"threads\":%u,\"heaps\":%u,"
               "\"committed\":%" PRIu64 ",\"reserved\":%" PRIu64,
               is_first ? "" : ",", arena->number, arena->threads, arena->heaps,
               arena->committed, arena->reserved);
        for (enum row row = 0; row < row_first_foreign; row++)
            printf(",\"%s\":%" PRIu64, row_keys[row], arena->rows[row]);
        printf("}");
        is_first = false;
    }
    printf("]");
}

static void print_json_runs(const struct account *account)
{
    bool is_first = true;

    printf(",\"runs\":[");
    for (unsigned i = 0; i < run_class_count; i++) {
        const struct run_account *runs = &account->runs[i];

        if (runs->size == 0)
            continue;
        printf("%s{\"size\":%" PRIu32 ",\"live\":%" PRIu64
               ",\"cached\":%" PRIu64 ",\"free\":%" PRIu64 "}",
               is_first ? "" : ",", runs->size, runs->live, runs->cached,
               runs->free);
        is_first = false;
    }
    printf("]");
}

static void print_json_lists(const struct account *account)
{
    bool is_first = true;

    printf(",\"threads\":[");
    for (size_t i = 0; i < account->thread_count; i++)
        printf("%s{\"thread\":%" PRIu32 ",\"blocks\":%" PRIu64
               ",\"cached\":%" PRIu64 ",\"asleep\":%s}",
               i == 0 ? "" : ",", account->threads[i].thread,
               account->threads[i].blocks, account->threads[i].bytes,
               account->threads[i].is_asleep ? "true" : "false");
    printf("],\"live_sizes\":[");
    for (unsigned i = 0; i < size_bucket_count; i++) {
        if (account->sizes[i].count == 0)
            continue;
        printf("%s{\"up_to\":%" PRIu64 ",\"count\":%" PRIu64
               ",\"bytes\":%" PRIu64 "}",
               is_first ? "" : ",", size_bucket_most(i),
               account->sizes[i].count, account->sizes[i].bytes);
        is_first = false;
    }
    printf("],\"complaints\":[");
    for (unsigned i = 0; i < account->complaint_count; i++) {
        printf(i == 0 ? "" : ",");
        print_json_string(account->complaints[i]);
    }
    printf("]");
}

void print_json(const struct account *account, const struct memory *memory)
{
    printf("{\"process\":%d,\"name\":", memory->process);
    print_json_string(memory->name);
    printf(",\"cause\":");
    print_json_string(cause_names[account_cause(account)]);
    printf(",\"resident\":%" PRIu64 ",\"swapped\":%" PRIu64 ",\"rows\":{",
           account->resident, account->swapped);
    for (enum row row = 0; row < row_count; row++)
        printf("%s\"%s\":%" PRId64, row == 0 ? "" : ",", row_keys[row],
               account->rows[row]);
    printf("},\"live_blocks\":%" PRIu64 ",\"live_bytes\":%" PRIu64
           ",\"mapped_blocks\":%" PRIu64 ",\"mapped_bytes\":%" PRIu64
           ",\"committed\":%" PRIu64 ",\"retained\":%" PRIu64 ",\"tears\":%u",
           account->live_blocks, account->live_bytes, account->mapped_blocks,
           account->mapped_bytes, account->committed_bytes, retained(account),
           account->tears);
    print_json_arenas(account);
    print_json_runs(account);
    print_json_lists(account);
    puts("}");
}

static void print_gauge(const struct memory *memory, const char *name,
                        const char *help, uint64_t bytes)
{
    printf("# HELP ptm_%s_bytes %s\n# TYPE ptm_%s_bytes gauge\n"
           "ptm_%s_bytes{pid=\"%d\",name=",
           name, help, name, name, memory->process);
    print_json_string(memory->name);
    printf("} %" PRIu64 "\n", bytes);
}

void print_prometheus(const struct account *account,
                      const struct memory *memory)
{
    print_gauge(memory, "allocated", "In blocks that the program has.",
                account->live_bytes + account->mapped_bytes);
    print_gauge(memory, "active", "Pages with blocks in use or cached.",
                account->active_bytes + account->mapped_bytes);
    print_gauge(memory, "metadata", "Resident, for the allocator itself.",
                row_bytes(account, row_metadata));
    print_gauge(memory, "resident", "Of the process, as the kernel counts.",
                account->resident);
    print_gauge(memory, "mapped", "Committed in heaps, and mappings.",
                account->committed_bytes + account->mapped_bytes);
    print_gauge(memory, "retained", "Address space without memory behind it.",
                retained(account));
}
