/*
 * free of an object, all of which is overwritten when it is back in its run,
 * and again. Of its page the kernel has a part by then, so that the mark alone
 * is not asked.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *others[100];
    objects(others, 100, 48);
    void *block = others[50];
    free(block);
    malloc_trim(0);
    overwrite(block, 'A', 48);
    free(suspect(block));
    return 0;
}
