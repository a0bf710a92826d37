/*
 * verdict.c - what a process is large by, in one line.
 */
#define _GNU_SOURCE
#include "verdict.h"

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

uint64_t row_bytes(const struct account *account, enum row row)
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

/* ---- the line ------------------------------------------------------------ */

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

bool is_pinned_in_runs(const struct account *account)
{
    return account->rows[row_pinned_run] > account->rows[row_pinned];
}

static void print_part(FILE *to, const struct account *account,
                       enum cause cause)
{
    const char *bytes = in_words(cause_bytes(account, cause));
    size_t threads = account->thread_count;
    unsigned arenas = pinned_arenas(account);

    switch (cause) {
    case cause_live:
        fprintf(to, "%s live", bytes);
        break;
    case cause_caches:
        fprintf(to, "%s freed but cached for %zu thread%s", bytes, threads,
                threads == 1 ? "" : "s");
        if (threads > 1 && sleeping_threads(account) == threads)
            fprintf(to, ", all asleep");
        break;
    case cause_pinned:
        fprintf(to, "%s free but pinned by survivors", bytes);
        if (arenas > 0)
            fprintf(to, " in %s%u arena%s",
                    is_pinned_in_runs(account) ? "runs of " : "", arenas,
                    arenas == 1 ? "" : "s");
        break;
    case cause_free:
        fprintf(to, "%s purgeable now", bytes);
        break;
    case cause_metadata:
        fprintf(to, "%s the allocator's own", bytes);
        break;
    default:
        fprintf(to, "%s not malloc's", bytes);
    }
}

void print_verdict(FILE *to, const struct account *account)
{
    bool is_printed[cause_count] = {false};
    bool is_first = true;

    fprintf(to, "%s resident: ", in_words(account->resident));
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
        fprintf(to, is_first ? "" : ", ");
        is_first = false;
        print_part(to, account, next);
    }
    fputs(".\n", to);
}
