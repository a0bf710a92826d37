#include "outcome.h"

#include "verdict.h"

#include <inttypes.h>

static void print_chart(const struct outcome *outcome, uint64_t most)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

    for (unsigned i = 0; i < outcome->sample_count; i++)
        fputs(bars[most > 0 ? outcome->resident[i] * 7 / most : 0], stdout);
}

void outcome_print(const char *name, const struct outcome *outcome,
                   uint64_t most)
{
    printf("%-14s %8.3f s %10s %10s  ", name,
           (double)outcome->microseconds / 1e6,
           in_words(outcome->peak_resident), in_words(outcome->end_resident));
    print_chart(outcome, most);
    if (outcome->failed > 0)
        printf("  %" PRIu64 " failed", outcome->failed);
    putchar('\n');
}

void outcome_print_heading(const struct outcome *outcome)
{
    printf("live at most: %s\n%-14s %10s %10s %10s  %s\n",
           in_words(outcome->peak_live), "malloc", "CPU time", "peak RSS",
           "RSS at end", "RSS over the events");
}

void outcome_write(const struct outcome *outcome)
{
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %u",
           outcome->microseconds, outcome->peak_resident, outcome->end_resident,
           outcome->peak_live, outcome->failed, outcome->sample_count);
    for (unsigned i = 0; i < outcome->sample_count; i++)
        printf(" %" PRIu64, outcome->resident[i]);
    putchar('\n');
}

bool outcome_read(FILE *file, struct outcome *outcome)
{
    if (fscanf(file,
               "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %u",
               &outcome->microseconds, &outcome->peak_resident,
               &outcome->end_resident, &outcome->peak_live, &outcome->failed,
               &outcome->sample_count) != 6 ||
        outcome->sample_count > outcome_samples)
        return false;
    for (unsigned i = 0; i < outcome->sample_count; i++)
        if (fscanf(file, "%" SCNu64, &outcome->resident[i]) != 1)
            return false;
    return true;
}
