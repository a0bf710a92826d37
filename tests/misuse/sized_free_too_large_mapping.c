/*
 * free_sized of a direct mapping as a larger one.
 *
 * expect: ptm: free(): block of another size: address ADDR, size SIZE
 */
#include "crime.h"

void free_sized(void *memory, size_t size);

int main(void)
{
    void *block = malloc(1000000);
    size_t usable = malloc_usable_size(block);
    name_value("SIZE %" PRIu64 "\n", usable);
    free_sized(suspect(block), usable + 1);
    return 0;
}
