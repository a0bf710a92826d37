/*
 * memory_limit.c - a process that may hold 64 MiB and uses 50 of them twice.
 *
 * First as blocks of its heaps, which it frees; then as one mapping, later as
 * blocks of another size. By itself the allocator would keep the first for a
 * second; under the limit it gives them back before the process grows. Run with
 * PTM_OPTIONS=memory_limit=64m, or with the words `set` or `cgroup`: then the
 * program sets it itself, or finds it set.
 */
#include "trial.h"

enum {
    MIB = 1 << 20,
    LIMIT = 64 * MIB,
    USED = 50 * MIB,
    BLOCK = 100 * 1000,
    /* The program itself and the allocator's own; a step of growth; and what
       the kernel's count may be off by. */
    SPARE = 10 * MIB,
};

/* The most that the process ever had in memory. */
static size_t most_resident(void)
{
    char line[256];
    size_t kib = 0;
    FILE *status = fopen("/proc/self/status", "r");

    MUST(status != NULL);
    while (kib == 0 && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "VmHWM: %zu", &kib);
    fclose(status);
    MUST(kib > 0);
    return kib * 1024;
}

static void use_and_free(size_t size)
{
    static void *blocks[USED / BLOCK];
    int count = (int)(USED / size);

    for (int i = 0; i < count; i++) {
        MUST((blocks[i] = malloc(size)) != NULL);
        memset(blocks[i], 1, size);
    }
    for (int i = 0; i < count; i++)
        free(blocks[i]);
}

int main(int count, char **words)
{
    size_t limit = 0;

    trial_watch();
    if (count > 1 && strcmp(words[1], "set") == 0)
        MUST(ptm_option_set("memory_limit", LIMIT) == 0);
    if (count > 1 && strcmp(words[1], "cgroup") != 0) {
        MUST(ptm_option_get("memory_limit", &limit) == 0);
        MUST(limit == LIMIT);
    }
    for (int round = 0; round < 3; round++) {
        use_and_free(BLOCK);
        use_and_free(USED);
        use_and_free(BLOCK * 2);
    }
    MUST(most_resident() <= LIMIT + SPARE);
    MUST(ptm_check() == 0);
    return 0;
}
