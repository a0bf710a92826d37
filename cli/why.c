/*
 * why.c - the account in words: first the verdict in one line, then the rows,
 * then what to do.
 */
#define _GNU_SOURCE
#include "why.h"

#include "launch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { patience = 3, changed_share = 200 };

const char *const row_names[row_count] = {
    [row_live] = "live: blocks that the program has",
    [row_live_mapped] = "live: large blocks with a mapping of their own",
    [row_guarded] = "live: blocks that stand alone, between closed pages",
    [row_thread_cache] = "freed, in caches of threads",
    [row_depot] = "freed, kept by arenas for these caches",
    [row_under_way] = "freed by other threads, on their way home",
    [row_quarantine] = "freed, in quarantine (hardened mode)",
    [row_pinned] = "free, on pages that live blocks are on (pinned)",
    [row_pinned_run] =
        "free in runs, on pages that live blocks are on (pinned)",
    [row_pinned_cache] = "free, on pages that only cached blocks are on",
    [row_free] = "free, whole pages inside heaps",
    [row_top] = "free, whole pages at the end of heaps",
    [row_recent] = "freed mappings, kept to be used again",
    [row_metadata] = "the allocator's own data",
    [row_torn] = "in heaps, but damaged or just being changed",
    [row_files] = "not malloc's: programs, libraries, files",
    [row_stacks] = "not malloc's: stacks",
    [row_shared] = "not malloc's: shared memory",
    [row_other] = "not malloc's: other anonymous memory",
    [row_changed] = "changed while it was read",
};

const char *const row_keys[row_count] = {
    [row_live] = "live",
    [row_live_mapped] = "live_mapped",
    [row_guarded] = "guarded",
    [row_thread_cache] = "thread_caches",
    [row_depot] = "depots",
    [row_under_way] = "under_way",
    [row_quarantine] = "quarantine",
    [row_pinned] = "pinned",
    [row_pinned_run] = "pinned_in_runs",
    [row_pinned_cache] = "pinned_by_caches",
    [row_free] = "free_pages",
    [row_top] = "free_at_top",
    [row_recent] = "recent_mappings",
    [row_metadata] = "metadata",
    [row_torn] = "torn",
    [row_files] = "files",
    [row_stacks] = "stacks",
    [row_shared] = "shared",
    [row_other] = "other",
    [row_changed] = "changed",
};

const char *const cause_names[cause_count] = {
    [cause_live] = "live",         [cause_caches] = "caches",
    [cause_pinned] = "pinned",     [cause_free] = "free",
    [cause_metadata] = "metadata", [cause_foreign] = "not malloc's",
};

static const enum cause cause_of[row_count] = {
    [row_live] = cause_live,         [row_live_mapped] = cause_live,
    [row_guarded] = cause_live,      [row_thread_cache] = cause_caches,
    [row_depot] = cause_caches,      [row_under_way] = cause_caches,
    [row_quarantine] = cause_caches, [row_pinned] = cause_pinned,
    [row_pinned_run] = cause_pinned, [row_pinned_cache] = cause_caches,
    [row_free] = cause_free,         [row_top] = cause_free,
    [row_recent] = cause_free,       [row_metadata] = cause_metadata,
    [row_torn] = cause_metadata,     [row_files] = cause_foreign,
    [row_stacks] = cause_foreign,    [row_shared] = cause_foreign,
    [row_other] = cause_foreign,     [row_changed] = cause_foreign,
};

const char *in_words(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    static char texts[8][32];
    static unsigned turn;
    char *text = texts[turn++ % 8];
    double number = (double)bytes;
    unsigned unit = 0;

    while (number >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        number /= 1024;
        unit++;
    }
    snprintf(text, sizeof texts[0],
             unit == 0 || number >= 100 ? "%.0f %s" : "%.1f %s", number,
             units[unit]);
    return text;
}

static uint64_t row_bytes(const struct account *account, enum row row)
{
    return account->rows[row] > 0 ? (uint64_t)account->rows[row] : 0;
}

uint64_t cause_bytes(const struct account *account, enum cause cause)
{
    uint64_t bytes = 0;

    for (enum row row = 0; row < row_count; row++)
        if (cause_of[row] == cause)
            bytes += row_bytes(account, row);
    return bytes;
}

enum cause account_cause(const struct account *account)
{
    enum cause most = cause_live;

    for (enum cause cause = 0; cause < cause_count; cause++)
        if (cause_bytes(account, cause) > cause_bytes(account, most))
            most = cause;
    return most;
}

/* ---- the verdict -------------------------------------------------------- */

static size_t sleeping_threads(const struct account *account)
{
    size_t count = 0;

    for (size_t i = 0; i < account->thread_count; i++)
        count += account->threads[i].is_asleep;
    return count;
}

static unsigned pinned_arenas(const struct account *account)
{
    unsigned count = 0;

    for (size_t i = 0; i < account->arena_count; i++)
        count += account->arenas[i].rows[row_pinned] +
                     account->arenas[i].rows[row_pinned_run] >=
                 page_size;
    return count;
}

static bool is_pinned_in_runs(const struct account *account)
{
    return account->rows[row_pinned_run] > account->rows[row_pinned];
}

static void print_part(const struct account *account, enum cause cause)
{
    const char *bytes = in_words(cause_bytes(account, cause));
    size_t threads = account->thread_count;
    unsigned arenas = pinned_arenas(account);

    switch (cause) {
    case cause_live:
        printf("%s live", bytes);
        break;
    case cause_caches:
        printf("%s freed but cached for %zu thread%s", bytes, threads,
               threads == 1 ? "" : "s");
        if (threads > 1 && sleeping_threads(account) == threads)
            printf(", all asleep");
        break;
    case cause_pinned:
        printf("%s free but pinned by survivors in %s%u arena%s", bytes,
               is_pinned_in_runs(account) ? "runs of " : "", arenas,
               arenas == 1 ? "" : "s");
        break;
    case cause_free:
        printf("%s purgeable now", bytes);
        break;
    case cause_metadata:
        printf("%s the allocator's own", bytes);
        break;
    default:
        printf("%s not malloc's", bytes);
    }
}

/* All parts of a hundredth or more, the largest first. */
static void print_verdict(const struct account *account)
{
    bool is_printed[cause_count] = {false};
    bool is_first = true;

    printf("%s resident: ", in_words(account->resident));
    for (;;) {
        enum cause next = cause_count;

        for (enum cause cause = 0; cause < cause_count; cause++)
            if (!is_printed[cause] &&
                (next == cause_count ||
                 cause_bytes(account, cause) > cause_bytes(account, next)))
                next = cause;
        if (next == cause_count ||
            (!is_first && cause_bytes(account, next) * 100 < account->resident))
            break;
        is_printed[next] = true;
        printf(is_first ? "" : ", ");
        is_first = false;
        print_part(account, next);
    }
    puts(".");
}

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
        printf("%12" PRIu64 " KiB          %" PRIu64 " blocks of up to %" PRIu64
               " bytes\n",
               account->sizes[size].bytes / 1024, account->sizes[size].count,
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
        puts("Malloc has little part in it: what the program maps itself, its "
             "libraries and stacks.");
    }
}

/* ---- for programs ------------------------------------------------------- */

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

static void print_json(const struct account *account,
                       const struct memory *memory)
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

static void print_prometheus(const struct account *account,
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

/* ---- the subcommand ----------------------------------------------------- */

void open_target(struct memory *memory, const char *subcommand, char **words)
{
    const char *wrong;
    char *end = NULL;
    long process;

    if (words[0] == NULL)
        fail(exit_tool, "%s: no process; see ptm --help", subcommand);
    if (strcmp(words[0], "--core") == 0) {
        if (words[1] == NULL || words[2] != NULL)
            fail(exit_tool, "%s: --core takes one file; see ptm --help",
                 subcommand);
        wrong = memory_open_core_file(memory, words[1]);
        if (wrong != NULL)
            fail(exit_tool, "%s: %s", words[1], wrong);
        return;
    }
    errno = 0;
    process = strtol(words[0], &end, 10);
    if (errno != 0 || *end != '\0' || process <= 0 || process > 1 << 30 ||
        words[1] != NULL)
        fail(exit_tool, "%s: '%s' is not the number of a process", subcommand,
             words[*end == '\0' && process > 0 && words[1] != NULL]);
    wrong = memory_open_process(memory, (int)process);
    if (wrong != NULL)
        fail(exit_tool, "process %ld: %s", process, wrong);
}

void examine(struct account *account, struct memory *memory,
             struct layout *layout, const struct account_watcher *watcher)
{
    const char *wrong = layout_find(layout, memory);

    if (wrong != NULL && memory->process != 0)
        fail(exit_tool, "process %d (%s): %s", memory->process, memory->name,
             wrong);
    if (wrong != NULL)
        fail(exit_tool, "%s: %s", memory->name, wrong);
    if (!account_take(account, memory, layout, watcher))
        fail(exit_tool, "out of memory");
}

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
        print_verdict(account);
    } else {
        print_verdict(account);
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
