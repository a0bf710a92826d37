/*
 * why.c - the account in words: first the verdict in one line, then the rows,
 * then what to do.
 */
#define _GNU_SOURCE
#include "why.h"

#include "figures.h"
#include "launch.h"
#include "target.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { patience = 3, changed_share = 200 };

/* ---- the rows ----------------------------------------------------------- */

static void print_rows(const struct account *account)
{
    puts("");
    for (enum row row = 0; row < row_count; row++)
        if (account->rows[row] != 0)
            printf("%12" PRId64 " KiB %5.1f %%  %s\n",
                   account->rows[row] / 1024,
                   account->resident > 0 ? 100.0 * (double)account->rows[row] /
                                               (double)account->resident
                                         : 0.0,
                   row_names[row]);
    printf("%12" PRIu64 " KiB          resident\n", account->resident / 1024);
    if (account->swapped > 0)
        printf("%12" PRIu64 " KiB          in swap, besides\n",
               account->swapped / 1024);
}

static unsigned next_size(const struct account *account, bool *is_printed)
{
    unsigned most = size_bucket_count;

    for (unsigned i = 0; i < size_bucket_count; i++)
        if (!is_printed[i] && account->sizes[i].bytes > 0 &&
            (most == size_bucket_count ||
             account->sizes[i].bytes > account->sizes[most].bytes))
            most = i;
    return most;
}

static void print_sizes(const struct account *account)
{
    bool is_printed[size_bucket_count] = {false};

    if (account->live_blocks == 0 && account->mapped_blocks == 0)
        return;
    printf("\nLive blocks: %" PRIu64 ", %s in heaps; %" PRIu64
           ", %s mapped on their own.\n",
           account->live_blocks, in_words(account->live_bytes),
           account->mapped_blocks, in_words(account->mapped_bytes));
    for (int i = 0; i < 5; i++) {
        unsigned size = next_size(account, is_printed);

        if (size == size_bucket_count)
            break;
        is_printed[size] = true;
        printf("%12" PRIu64 " KiB          %" PRIu64
               " block%s of up to %" PRIu64 " bytes\n",
               account->sizes[size].bytes / 1024, account->sizes[size].count,
               account->sizes[size].count == 1 ? "" : "s",
               size_bucket_most(size));
    }
}

static const struct run_account *next_run_class(const struct account *account,
                                                const bool *is_printed)
{
    const struct run_account *most = NULL;

    for (unsigned i = 0; i < run_class_count; i++)
        if (!is_printed[i] && account->runs[i].free > 0 &&
            (most == NULL || account->runs[i].free > most->free))
            most = &account->runs[i];
    return most;
}

/* Those with most that is free, where it is worth a look. */
static void print_runs(const struct account *account)
{
    bool is_printed[run_class_count] = {false};

    if (row_bytes(account, row_pinned_run) * 100 < account->resident)
        return;
    puts("\nRuns of blocks of        live      cached        free");
    for (int i = 0; i < 5; i++) {
        const struct run_account *runs = next_run_class(account, is_printed);

        if (runs == NULL)
            break;
        is_printed[runs - account->runs] = true;
        printf("%10" PRIu32 " bytes %11s %11s %11s\n", runs->size,
               in_words(runs->live), in_words(runs->cached),
               in_words(runs->free));
    }
}

static int by_bytes(const void *a, const void *b)
{
    uint64_t one = ((const struct thread_account *)a)->bytes;
    uint64_t other = ((const struct thread_account *)b)->bytes;

    return one > other ? -1 : one < other;
}

static void print_arenas(const struct account *account)
{
    int shown = 0;

    puts("\nArenas      threads  heaps   committed        live      cached"
         "      pinned        free");
    for (size_t i = 0; i < account->arena_count; i++) {
        const struct arena_account *arena = &account->arenas[i];
        const uint64_t *rows = arena->rows;

        if (arena->heaps == 0)
            continue;
        if (shown++ == 16) {
            puts("  ...");
            break;
        }
        printf("%6u %12u %6u %11s %11s %11s %11s %11s\n", arena->number,
               arena->threads, arena->heaps, in_words(arena->committed),
               in_words(rows[row_live]),
               in_words(rows[row_thread_cache] + rows[row_depot] +
                        rows[row_under_way] + rows[row_quarantine]),
               in_words(rows[row_pinned] + rows[row_pinned_run] +
                        rows[row_pinned_cache]),
               in_words(rows[row_free] + rows[row_top]));
    }
}

static void print_threads(struct account *account)
{
    qsort(account->threads, account->thread_count, sizeof *account->threads,
          by_bytes);
    if (account->thread_count < 2)
        return;
    puts("\nLargest caches of threads");
    for (size_t i = 0; i < account->thread_count && i < 5; i++) {
        const struct thread_account *thread = &account->threads[i];

        printf("%12" PRIu64 " KiB          thread %" PRIu32 "%s\n",
               thread->bytes / 1024, thread->thread,
               thread->is_gone     ? ", which did not survive a fork"
               : thread->is_asleep ? ", asleep"
                                   : "");
    }
}

static void print_complaints(const struct account *account)
{
    if (account->tears > 0)
        printf("\nHeaps could not be followed in %u place%s: overwritten by "
               "the program, or just being changed.\n",
               account->tears, account->tears == 1 ? "" : "s");
    for (unsigned i = 0; i < account->complaint_count; i++)
        printf("%s%s.\n", i == 0 ? "\nDoubts: " : "", account->complaints[i]);
}

/* ---- what to do --------------------------------------------------------- */

static void advise_live(const struct account *account)
{
    static bool none[size_bucket_count];
    unsigned size = next_size(account, none);

    if (account->mapped_bytes > account->live_bytes)
        printf("The program holds it: %" PRIu64
               " large blocks, %s at most. Look for buffers that it keeps.\n",
               account->mapped_blocks, in_words(account->largest_mapped));
    else if (size < size_bucket_count)
        printf("The program holds it: no malloc can give it back. %.0f %% of "
               "the live bytes in heaps\nare blocks of up to %" PRIu64
               " bytes. If their number grows (--watch) though the work does "
               "not,\nthey leak.\n",
               100.0 * (double)account->sizes[size].bytes /
                   (double)account->live_bytes,
               size_bucket_most(size));
}

static void advise_foreign(const struct account *account)
{
    static const char *const most_is[row_count] = {
        [row_files] =
            "the files that it maps,\nprograms and libraries among them",
        [row_stacks] = "stacks of its threads",
        [row_shared] = "memory that it shares\nwith other processes",
        [row_other] =
            "memory that the program\nmaps itself, as interpreters do "
            "for their objects",
    };
    enum row most = row_first_foreign;

    for (enum row row = row_first_foreign; row < row_changed; row++)
        if (account->rows[row] > account->rows[most])
            most = row;
    printf("Malloc has little part in it. Most of that is %s: /proc/PID/smaps\n"
           "has each mapping.\n",
           most_is[most]);
}

static void advise(const struct account *account)
{
    puts("");
    switch (account_cause(account)) {
    case cause_live:
        advise_live(account);
        break;
    case cause_caches:
        puts("Threads keep what they have freed, to use it again. Fewer "
             "threads, or a lower\ntcache_max (PTM_OPTIONS), and it is less.");
        break;
    case cause_pinned:
        if (is_pinned_in_runs(account))
            puts(
                "Much was freed, but small blocks that live on are spread "
                "over its runs, which have\nblocks of one size each. What is "
                "free in them is used again for that size before\nnew memory "
                "is taken, so it does not grow; to be rid of it, allocate what "
                "lives long\nbefore, or apart from, what lives short.");
        else
            puts("Much was freed, but blocks that live on are spread over its "
                 "pages. It is used\nagain before new memory is taken, so it "
                 "does not grow; to be rid of it, allocate\nwhat lives long "
                 "before, or apart from, what lives short.");
        break;
    case cause_free:
        puts("It is free and whole pages: the rest of a peak. malloc_trim(0) "
             "in the program\ngives it back at once.");
        break;
    case cause_metadata:
        puts("That is much for the allocator itself: many threads with caches "
             "of their own, or\na small program.");
        break;
    default:
        advise_foreign(account);
    }
}

/* ---- the subcommand ----------------------------------------------------- */

struct report {
    bool json, prometheus, watches;
    unsigned seconds;
};

static char **take_options(struct report *report, char **words)
{
    report->seconds = 2;
    for (; *words != NULL && (*words)[0] == '-'; words++) {
        if (strcmp(*words, "--core") == 0)
            break;
        if (strcmp(*words, "--json") == 0)
            report->json = true;
        else if (strcmp(*words, "--prometheus") == 0)
            report->prometheus = true;
        else if (strcmp(*words, "--watch") == 0)
            report->watches = true;
        else
            fail(exit_tool, "why: unknown option '%s'; see ptm --help", *words);
    }
    return words;
}

static void print_report(const struct report *report, struct account *account,
                         const struct memory *memory)
{
    if (report->json) {
        print_json(account, memory);
    } else if (report->prometheus) {
        print_prometheus(account, memory);
    } else if (report->watches) {
        char clock[16];
        time_t now = time(NULL);

        strftime(clock, sizeof clock, "%H:%M:%S", localtime(&now));
        printf("%s  ", clock);
        print_verdict(stdout, account);
    } else {
        print_verdict(stdout, account);
        print_rows(account);
        print_sizes(account);
        print_runs(account);
        print_arenas(account);
        print_threads(account);
        print_complaints(account);
        advise(account);
    }
    fflush(stdout);
}

/* While it was read, so much that it is worth to read it again. */
static bool has_changed(const struct account *account)
{
    uint64_t changed = (uint64_t)llabs(account->rows[row_changed]);

    return changed * changed_share > account->resident;
}

int why(char **words)
{
    struct report report = {0};
    struct account account;
    struct memory memory;
    struct layout layout;

    words = take_options(&report, words);
    for (;;) {
        for (int tries = 0;; tries++) {
            open_target(&memory, "why", words);
            examine(&account, &memory, &layout, NULL);
            if (tries == patience || !has_changed(&account))
                break;
            account_free(&account);
            memory_close(&memory);
        }
        print_report(&report, &account, &memory);
        account_free(&account);
        memory_close(&memory);
        if (!report.watches || memory.process == 0 || ferror(stdout))
            return 0;
        sleep(report.seconds);
    }
}
