/*
 * free of a block twice, at whose place its heap ends meanwhile: what was left
 * of top is no larger than what closes a heap.
 *
 * caches: off
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 */
#include "crime.h"

enum { LARGE = 40 << 20 };

int main(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* Two of the large ones do not fit one heap, and get no mapping. */
    mallopt(M_MMAP_MAX, 0);
    use(malloc(2000));
    use(malloc(LARGE));
    /* A block whose chunk begins 32 bytes before the end of a page. */
    char *first = malloc(2000);
    uintptr_t next = (uintptr_t)first + 2000;
    uintptr_t begin = next / page * page + 2 * page - 32;
    use(malloc(begin - next - 8));
    char *block = malloc(2000);
    if ((uintptr_t)block != begin + 16) {
        complain("the block is elsewhere\n");
    }
    free(opaque(block));
    malloc_trim(0);
    use(malloc(LARGE));
    free(suspect(block));
    return 0;
}
