/*
 * free of an object twice; in between malloc_trim has given the memory that it
 * was in back to the kernel, and malloc has used some of that again: so that
 * all of its page is in use once more, but for a few objects.
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
    char *block = free_all_of_a_quarter(blocks, MANY, page);
    malloc_trim(0);
    must_be_clean(block);
    char *other;
    do {
        other = object(48);
        if (other == block) {
            complain("the block was handed out\n");
            return 1;
        }
    } while (!is_in_second_quarter(other, page));
    free(suspect(block));
    return 0;
}
