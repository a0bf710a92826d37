/*
 * What malloc gave, 400000 bytes, goes to operator delete.
 *
 * hardened: on
 *
 * expect: ptm: operator delete: block of malloc: address ADDR, size 400000
 */
#include "crime.h"

void *operator_new(size_t size) __asm__("_Znwm");
void *operator_new_array(size_t size) __asm__("_Znam");
void operator_delete(void *block) __asm__("_ZdlPv");
void operator_delete_array(void *block) __asm__("_ZdaPv");

int main(void)
{
    void *block = malloc(400000);
    operator_delete(suspect(block));
    return 0;
}
