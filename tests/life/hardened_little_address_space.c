/*
 * hardened_little_address_space.c - in hardened mode, mappings that lie in the
 * 64 MiB of a heap that has reserved less are no blocks of that heap.
 *
 * Run under `ulimit -v 200000` (see CMakeLists.txt), so that heaps are small
 * and what is mapped lies between them.
 */
#include "trial.h"

#include <malloc.h>
#include <stdbool.h>

enum {
    BLOCKS = 150,
    HEAP = 64 << 20,
    MAPPED = 300 * 1000,
};

/* How many mappings share their 64 MiB with a block that is too small for a
 * mapping of its own, and so with a heap. */
static int count_beside(char *const mapped[BLOCKS], char *const small[BLOCKS])
{
    int count = 0;

    for (int i = 0; i < BLOCKS; i++) {
        bool is_beside = false;
        for (int j = 0; j < BLOCKS; j++)
            is_beside |=
                (uintptr_t)mapped[i] / HEAP == (uintptr_t)small[j] / HEAP;
        count += is_beside;
    }
    return count;
}

int main(void)
{
    static char *mapped[BLOCKS], *small[BLOCKS];

    trial_watch();
    trial_malloc_must_be_ptm();
    for (int i = 0; i < BLOCKS; i++) {
        mapped[i] = malloc(MAPPED);
        small[i] = malloc(100 * 1000);
        MUST(mapped[i] != NULL && small[i] != NULL);
        MUST(malloc_usable_size(mapped[i]) == MAPPED);
        memset(mapped[i], i, MAPPED);
        memset(small[i], i, 100 * 1000);
    }
    MUST(count_beside(mapped, small) > 0);
    MUST(ptm_check() == 0);
    for (int i = 0; i < BLOCKS; i++) {
        MUST(mapped[i][0] == (char)i && mapped[i][MAPPED - 1] == (char)i);
        free(mapped[i]);
        free(small[i]);
    }
    MUST(ptm_check() == 0);
    return 0;
}
