/*
 * free of an object, and again when its run, in which no other was in use, is a
 * spare. It was the first one there, so it lies where the memory of the chunk
 * does that the run is.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 16376, arena 1
 */
#include "crime.h"

#include "contention.h"

int main(void)
{
    char *block = object(48);
    if (block != run_of(block)) {
        return 1;
    }
    free(block);
    have_had_a_second_thread();
    /* The thread takes no cached block with it, and while its old arena grows,
     * what waits there goes back to its run. */
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    free(suspect(block));
    return 0;
}
