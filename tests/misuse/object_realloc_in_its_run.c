/*
 * realloc of a freed object that is back in its run, in which others are in
 * use, and was overwritten.
 *
 * caches: on
 *
 * hardened: off
 *
 * expect: ptm: realloc(): use of a freed block: address ADDR, size 48, arena 1
 */
#include "crime.h"

int main(void)
{
    void *others[100];
    objects(others, 100, 48);
    free(others[50]);
    malloc_trim(0);
    overwrite(others[50], 'A', 48);
    use(realloc(suspect(others[50]), 100));
    return 0;
}
