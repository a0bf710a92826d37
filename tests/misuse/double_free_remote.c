/*
 * free of a block of one arena twice, by a thread of another.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

#include "contention.h"

int main(void)
{
    void *block = malloc(24);
    use(malloc(24));
    have_had_a_second_thread();
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    free(block);
    free(suspect(block));
    return 0;
}
