/*
 * free of an object twice, by a thread of another arena: after 300 more the
 * first free has been sent on its way home.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

#include "contention.h"

int main(void)
{
    void *others[300];
    void *block = object(48);
    objects(others, 300, 48);
    have_had_a_second_thread();
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    free(block);
    free_blocks(others, 300);
    free(suspect(block));
    return 0;
}
