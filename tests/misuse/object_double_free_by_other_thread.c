/*
 * free of an object, and again by a thread of another arena.
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
    void *others[100];
    objects(others, 100, 48);
    free(others[50]);
    have_had_a_second_thread();
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    free(suspect(others[50]));
    return 0;
}
