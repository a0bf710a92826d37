/*
 * free of an object twice; in between malloc_trim has given the memory that it
 * was in back to the kernel, and with it the mark that it bore. Others of its
 * page are in use.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: free(): double free: address ADDR, size 48, arena 1
 */
#include "crime.h"

#include "quarters.h"

int main(void)
{
    static void *blocks[MANY];
    objects(blocks, MANY, 48);
    char *page = a_page_of(blocks, MANY);
    void *block = free_all_of_a_quarter(blocks, MANY, page);
    malloc_trim(0);
    must_be_clean(block);
    free(suspect(block));
    return 0;
}
