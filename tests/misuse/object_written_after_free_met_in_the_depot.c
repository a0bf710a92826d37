/*
 * malloc gets an object that was written to after its free, when the cache has
 * none and asks the arena.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: malloc(): block written to after its free: address ADDR, size
 * 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *others[500];
    void *block = object(48);
    objects(others, 500, 48);
    free(block);
    free_blocks(others, 500);
    overwrite(suspect(block), 'A', 48);
    for (int i = 0; i < 1000; i++) {
        use(malloc(48));
    }
    return 0;
}
