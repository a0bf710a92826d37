/*
 * What operator new[] gave, 24 bytes, goes to realloc.
 *
 * hardened: on
 *
 * expect: ptm: realloc(): block of operator new[]: address ADDR, size 24, arena
 * 1
 */
#include "crime.h"

void *operator_new(size_t size) __asm__("_Znwm");
void *operator_new_array(size_t size) __asm__("_Znam");
void operator_delete(void *block) __asm__("_ZdlPv");
void operator_delete_array(void *block) __asm__("_ZdaPv");

int main(void)
{
    void *block = operator_new_array(24);
    use(realloc(suspect(block), 50));
    return 0;
}
