/*
 * free of a block of a second arena twice.
 *
 * expect: ptm: free(): double free: address ADDR, size SIZE, arena 2
 */
#include "crime.h"

#include "contention.h"

int main(void)
{
    if (!have_one_cpu()) {
        return 1;
    }
    have_had_a_second_thread();
    if (!attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return 1;
    }
    void *block = malloc(24);
    suspect_size(block);
    use(malloc(24));
    free(block);
    free(suspect(block));
    return 0;
}
