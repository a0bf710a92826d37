/*
 * house_of_mind: the flag of other arenas is set in a header, and where the
 * heap of such a block would begin lies a false one that names a false arena.
 */
#include "technique.h"

static uint64_t false_arena[1024];

int main(void)
{
    enum { HEAP = 64 << 20 };
    char *area = mmap(NULL, 2 * (size_t)HEAP, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *heap = (char *)(((uintptr_t)area + HEAP - 1) & -(uintptr_t)HEAP);
    uint64_t *header = (uint64_t *)heap;
    header[0] = (uintptr_t)false_arena;
    header[3] = header[4] = HEAP;
    void *real = malloc(CHUNKED);
    char *block = heap + 4096;
    *size_word(block) = *size_word(real) | NON_MAIN_ARENA;
    *size_word(block + size_of(real)) = *size_word(real);
    free(opaque(block));
    for (int i = 0; i < 1024; i++) {
        if (false_arena[i] != 0) {
            succeeds("a false arena was written to");
        }
    }
    fails();
}
